"""Sources of pushed usage, and what they pushed."""

from typing import Any

import lz4.frame
from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from aforo.tenancy.admin_base import OwnRelatedFilter, ReadOnlyAdmin, TenantFilter, become
from aforo.tenancy.roles import KEY_WRITERS
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of
from metering.admin.base import BoundedPaginator, as_json
from webhooks.models import WebhookDelivery, WebhookSource
from webhooks.services import sources

_NAMED = ("name", "description", "is_active", "rate_limit")
_PROOF = ("signature_header", "signature_algorithm")
_MAPPING = (
    "metric",
    "customer_id_path",
    "metric_key_path",
    "quantity_path",
    "timestamp_path",
)
_SAMENESS = ("event_id_path", "event_id_header")
_FILTER = ("event_type_path", "event_filter")
FIELDS = (*_NAMED, *_PROOF, *_MAPPING, *_SAMENESS, *_FILTER)
_VERDICTS = {
    WebhookDelivery.Verdict.ACCEPTED: "success",
    WebhookDelivery.Verdict.DUPLICATE: "info",
    WebhookDelivery.Verdict.FILTERED: "info",
    WebhookDelivery.Verdict.UNMAPPED: "warning",
    WebhookDelivery.Verdict.UNREADABLE: "warning",
    WebhookDelivery.Verdict.BAD_SIGNATURE: "danger",
    WebhookDelivery.Verdict.STALE: "danger",
}


class SourceForm(forms.ModelForm):
    """Event types are written as people write lists."""

    event_filter = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="event types that count, separated by commas; empty: all",
    )

    class Meta:
        model = WebhookSource
        fields = ("tenant", *FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["event_filter"] = ", ".join(self.instance.event_filter)

    def clean_event_filter(self) -> list[str]:
        kinds = str(self.cleaned_data["event_filter"]).split(",")
        return [kind.strip() for kind in kinds if kind.strip()]


@admin.register(WebhookSource)
class WebhookSourceAdmin(CatalogAdmin):
    """Who pushes usage without a key: by address and signature."""

    form = SourceForm
    write_roles = KEY_WRITERS
    list_display = ("name", "tenant", "provider", "state", "address", "rate_limit", "pushes")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "provider", "is_active")
    search_fields = ("name", "=id")
    autocomplete_fields = ("tenant",)
    fieldsets = (
        (None, {"fields": ("tenant", *_NAMED, "address")}),
        ("Signature", {"fields": _PROOF}),
        ("Where the payload has what", {"fields": _MAPPING}),
        ("What makes a push the same", {"fields": _SAMENESS}),
        ("What counts", {"fields": _FILTER}),
    )
    actions = ("rotate", "archive")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return ("address",) if obj is None else ("tenant", "address")

    @display(description="state", label={"on": "success", "off": "danger"})
    def state(self, source: WebhookSource) -> str:
        return "on" if source.is_active and source.archived_at is None else "off"

    @display(description="address")
    def address(self, source: WebhookSource) -> str:
        is_new = source.created_at is None
        return "" if is_new else f"/v1/ingest/webhook/{source.pk}"

    @display(description="pushes")
    def pushes(self, source: WebhookSource) -> SafeString:
        listed = reverse("admin:webhooks_webhookdelivery_changelist")
        return format_html('<a href="{}?source__id__exact={}">pushes</a>', listed, source.pk)

    def save_model(self, request: HttpRequest, obj: WebhookSource, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        if change:
            become(obj, sources.change_source(source=obj, edits=changed_fields(form), **doing))
            return
        given = fields_of(obj, FIELDS)
        source, secret = sources.create_source(tenant=obj.tenant, **given, **doing)
        become(obj, source)
        self._tell(request, source, secret)

    def _tell(self, request: HttpRequest, source: WebhookSource, secret: str) -> None:
        text = f"The secret of '{source}' is {secret} - copy it now, it cannot be shown again."
        self.message_user(request, text, messages.WARNING)

    @admin.action(description="Draw a new secret", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[WebhookSource]) -> None:
        for source in queryset.select_related("tenant"):
            doing = self.doer(request, source.tenant)
            rotated, secret = sources.rotate_secret(source=source, **doing)
            self._tell(request, rotated, secret)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[WebhookSource]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda source, doing: sources.archive_source(source=source, **doing),
            "sources archived",
        )


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """Every push as it came, and what was made of it."""

    list_display = (
        "arrived_at",
        "source",
        "tenant",
        "result",
        "event_count",
        "event_key",
        "detail",
        "size",
    )
    list_select_related = ("tenant", "source")
    list_filter = (
        TenantFilter,
        "verdict",
        ("source", OwnRelatedFilter),
        ("arrived_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("=event_key", "=batch_id")
    ordering = ("-id",)  # ids rise with time, and have an index
    paginator = BoundedPaginator
    exclude = ("payload",)
    readonly_fields = ("readable_payload",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("payload")  # up to 10 MiB each

    @display(description="verdict", label=_VERDICTS, ordering="verdict")
    def result(self, delivery: WebhookDelivery) -> str:
        return delivery.verdict

    @display(description="payload")
    def readable_payload(self, delivery: WebhookDelivery) -> SafeString | str:
        return as_json(lz4.frame.decompress(bytes(delivery.payload)))
