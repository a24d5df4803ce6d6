"""The forms of dead letters: another event, a reason, the unit that was wanted."""

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from catalog.models.billable_units import Aggregation
from catalog.models.products import ProductType

_CODE = {"rows": 18, "spellcheck": "false", "style": "font-family: monospace"}


class EventForm(forms.Form):
    """What is sent instead of the event that was refused."""

    event = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs=_CODE),
        label="Event",
        help_text="The whole event as JSON. The one that came is kept beside it.",
    )


class ReasonForm(forms.Form):
    """Why so many letters are decided; `which` carries the letters through the page."""

    reason = forms.CharField(
        max_length=2_000, required=False, widget=UnfoldAdminTextInputWidget, label="Reason"
    )

    def __init__(self, *args: Any, is_required: bool) -> None:
        super().__init__(*args)
        self.fields["reason"].required = is_required
        told = "Goes into the audit log, and onto each letter."
        self.fields["reason"].help_text = told if is_required else f"{told} May be empty."


class UnitForm(forms.Form):
    """The billable unit that refused events named."""

    name = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget)
    aggregation = forms.ChoiceField(
        choices=Aggregation.choices,
        widget=UnfoldAdminSelectWidget,
        help_text="what the quantity of a total is",
    )
    event_field = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="for distinct values: which field of the metadata",
    )
    unit_label = forms.CharField(
        max_length=40,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="token, call, GB ...",
    )
    unit_cost = forms.DecimalField(
        required=False,
        max_digits=38,
        decimal_places=12,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="what one costs the seller; 0 when empty",
    )
    product_type = forms.ChoiceField(
        choices=ProductType.choices, widget=UnfoldAdminSelectWidget, initial=ProductType.API
    )

    def unit(self) -> dict[str, Any]:
        """The fields that were filled in, as `create_unit` takes them."""
        return {name: value for name, value in self.cleaned_data.items() if value not in {"", None}}
