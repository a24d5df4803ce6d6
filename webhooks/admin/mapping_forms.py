"""Rules of a source as a table people fill in: lists by commas, metadata by lines."""

from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.admin import StackedInline
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from catalog.admin.base import PLAIN_DECIMALS
from webhooks.inbound.rules import Rule
from webhooks.models import WebhookMapping
from webhooks.services.readings import RULE_FIELDS

_LAYOUT = (
    ("event_types", "items"),
    ("customer", "customer_default"),
    ("metric", "metric_default"),
    ("quantity", "quantity_scale"),
    ("quantity_default", "occurred_at"),
    "event_key",
    "metadata",
)
_EXAMPLE = "region = eu\nmodel = $.data.model"


def list_in(text: str) -> list[str]:
    """The members of a list that is written with commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


class MappingForm(forms.ModelForm):
    """One rule. Nothing of it is JSON."""

    event_types = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="separated by commas; * stands for anything; empty: all",
    )
    metadata = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": _EXAMPLE}),
        help_text="a line each: name = path or text",
    )

    class Meta:
        model = WebhookMapping
        fields = RULE_FIELDS
        labels = {"quantity_scale": "Quantity, times"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rule: WebhookMapping = self.instance
        self.initial["event_types"] = ", ".join(rule.event_types)
        self.initial["metadata"] = "\n".join(f"{k} = {v}" for k, v in rule.metadata.items())

    def clean_event_types(self) -> list[str]:
        return list_in(self.cleaned_data["event_types"])

    def clean_metadata(self) -> dict[str, str]:
        lines = str(self.cleaned_data["metadata"]).splitlines()
        pairs = [line.partition("=") for line in lines if line.strip()]
        if any(not equals or not name.strip() for name, equals, _ in pairs):
            raise forms.ValidationError("each line is: name = path or text")
        return {name.strip(): value.strip() for name, _, value in pairs}


class MappingInline(StackedInline):
    """The rules of a source; its page saves all of them at once, in this order."""

    model = WebhookMapping
    form = MappingForm
    fields = _LAYOUT
    extra = 0
    formfield_overrides = PLAIN_DECIMALS
    verbose_name = "mapping"
    verbose_name_plural = "mappings: how payloads become events"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever sees the source sees its mappings

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # the page itself asks who may write

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


def rules_on(formsets: list[Any]) -> list[Rule]:
    """The rules as they stand on the page."""
    return [
        Rule(**{name: _value(form, name) for name in RULE_FIELDS})
        for formset in formsets
        for form in formset.forms
        if form.cleaned_data and not form.cleaned_data.get("DELETE")
    ]


def _value(form: forms.ModelForm, name: str) -> Any:
    value = form.cleaned_data[name]
    return tuple(value) if name == "event_types" else value
