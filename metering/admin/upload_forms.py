"""The forms of an upload: which file, whose, and which column is what."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.forms.boundfield import BoundField
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from aforo.tenancy.admin_base import tenants_of
from aforo.tenancy.models import Tenant
from aforo.tenancy.roles import KEY_WRITERS
from catalog.selectors.contracts import units_of
from metering.models import Upload
from metering.services.uploads import MOST_BYTES
from metering.uploads.mapping import TARGETS, ColumnMapping
from metering.uploads.preview import Preview
from metering.uploads.reading import Reading

_LABELS = {
    "customerId": "Customer",
    "metricName": "Metric",
    "quantity": "Quantity",
    "occurredAt": "When it happened",
    "idempotencyKey": "Unique key of the row",
    "productType": "Product type",
    "sessionId": "Session",
    "agentId": "Agent",
    "toolName": "Tool",
    "traceId": "Trace",
    "metadata": "Metadata, as a JSON object",
}
_ABSENT = {
    "customerId": "no column: all rows are of the customer below",
    "metricName": "no column: all rows are of the metric below",
    "quantity": "no column: each row counts 1",
    "occurredAt": "no column: the time of the upload",
    "idempotencyKey": "no column: file and row number",
}
MAIN = 5  # fields that every file needs a thought about; the others are rare


class FileForm(forms.Form):
    """A file, and whose usage it holds."""

    tenant = forms.ModelChoiceField(
        Tenant.objects.none(), widget=UnfoldAdminSelectWidget, empty_label=None
    )
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        max_length=255,
        help_text="CSV, NDJSON, a JSON array or XML, in UTF-8, also as gzip; up to 50 MB."
        " Larger files: aforo import FILE",
    )

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        super().__init__(*args)
        own = tenants_of(request, KEY_WRITERS)
        self.fields["tenant"].queryset = own  # type: ignore[attr-defined]  # a choice of models

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MOST_BYTES:
            raise forms.ValidationError(f"the file has over {MOST_BYTES // 1024**2} MB")
        return file


class ColumnsForm(forms.Form):
    """A column for each field of an event; as the file's own names suggest, until told."""

    default_metric = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Metric of rows that name none",
    )
    default_customer = forms.CharField(
        required=False,
        max_length=400,
        widget=UnfoldAdminTextInputWidget,
        label="Customer of rows that name none",
        help_text="the external id, an own id or an alias",
    )
    backfill = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        label="Backfill: rows may be over 90 days old",
        help_text="they are priced in their own period, and held where that is billed already",
    )

    def __init__(self, upload: Upload, preview: Preview, *args: Any) -> None:
        super().__init__(*args)
        guessed = {target: column for column, target in ColumnMapping({}).plan(preview.columns)[0]}
        told = upload.mapping or guessed
        columns = [(column, column) for column in preview.columns]
        for target in TARGETS:
            absent = ("", _ABSENT.get(target, "no column"))
            self.fields[target] = forms.ChoiceField(
                choices=[absent, *columns],
                required=False,
                widget=UnfoldAdminSelectWidget,
                label=_LABELS[target],
                initial=told.get(target, ""),
            )
        metrics = sorted({unit.metric for unit in units_of(upload.tenant_id)})
        choices = [("", "none"), *((metric, metric) for metric in metrics)]
        self.fields["default_metric"].choices = choices  # type: ignore[attr-defined]  # likewise
        for name in ("default_metric", "default_customer", "backfill"):
            self.fields[name].initial = getattr(upload, name)

    def main_columns(self) -> list[BoundField]:
        return [self[target] for target in TARGETS[:MAIN]]

    def other_columns(self) -> list[BoundField]:
        return [self[target] for target in TARGETS[MAIN:]]

    def reading(self, *, dry_run: bool) -> Reading:
        """How the file is to be read, as the form says it."""
        told = self.cleaned_data
        return Reading(
            {target: told[target] for target in TARGETS},
            told["default_metric"],
            told["default_customer"],
            dry_run,
            told["backfill"],
        )
