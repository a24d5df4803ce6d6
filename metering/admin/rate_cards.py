"""Rate cards: what providers ask, changed by adding the next one."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from aforo.tenancy.admin_base import TenantFilter, become, plainly
from aforo.tenancy.roles import CATALOG_WRITERS, WRITERS
from catalog.admin.base import CatalogAdmin, fields_of
from catalog.pricing.dimensions import label_of, values_in
from metering.models import RateCard
from metering.services import rate_cards
from metering.services.rate_cards import CardDraft

_DRAFT = ("provider", "unit_price", "currency", "valid_from", "valid_until")


class RateCardForm(forms.ModelForm):
    """Dimensions are written as lines of `key = value`."""

    dimensions = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="one metadata key per line, such as: model = gpt-4o. Empty: all events",
    )

    class Meta:
        model = RateCard
        fields = ("tenant", "unit", *_DRAFT)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        values = values_in(self.instance.dimension)
        if "dimensions" in self.fields:
            told = "\n".join(f"{key} = {value}" for key, value in values.items())
            self.fields["dimensions"].initial = told

    def clean_dimensions(self) -> dict[str, str]:
        found = {}
        for line in self.cleaned_data["dimensions"].splitlines():
            key, equals, value = line.partition("=")
            if not line.strip():
                continue
            if not equals or not key.strip():
                raise forms.ValidationError("write each line as key = value")
            found[key.strip()] = value.strip()
        return found


@admin.register(RateCard)
class RateCardAdmin(CatalogAdmin):
    """What one unit costs the seller, by provider, kind of use, and time."""

    form = RateCardForm
    write_roles = CATALOG_WRITERS | WRITERS
    list_display = (
        "provider",
        "tenant",
        "unit",
        "used_for",
        "price",
        "currency",
        "valid_from",
        "valid_until",
    )
    list_select_related = ("tenant", "unit")
    list_filter = (TenantFilter, "currency")
    search_fields = ("provider", "unit__name", "dimension")
    autocomplete_fields = ("tenant", "unit")
    fields = ("tenant", "unit", "dimensions", *_DRAFT)

    @display(description="for")
    def used_for(self, card: RateCard) -> str:
        return label_of(card.dimension) or "all"

    @display(description="unit price", ordering="unit_price")
    def price(self, card: RateCard) -> str:
        return plainly("unit_price")(card)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        middle = "dimensions" if obj is None else "used_for"
        return ("tenant", "unit", middle, *_DRAFT)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "unit", "used_for", *_DRAFT[:-1])

    def save_model(self, request: HttpRequest, obj: RateCard, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        if change:
            saved = rate_cards.end_card(card=obj, valid_until=obj.valid_until, **doing)
        else:
            dimensions = form.cleaned_data["dimensions"]
            draft = CardDraft(**fields_of(obj, _DRAFT), dimensions=dimensions)
            saved = rate_cards.add_card(tenant=obj.tenant, unit=obj.unit, draft=draft, **doing)
        become(obj, saved)
