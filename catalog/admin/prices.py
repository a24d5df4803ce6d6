"""Prices of a version on its page: one block per unit, tiers as rows of a table."""

from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import StackedInline, TabularInline
from unfold.decorators import display

from catalog.admin.base import PLAIN_DECIMALS
from catalog.admin.codes import ChoosesCodes
from catalog.admin.rows_table import WordsField
from catalog.admin.terms_table import TermsField
from catalog.models import RatePlanVersion, UnitPrice, VersionCurrency
from catalog.pricing import parse_terms
from catalog.services.prices import PriceDraft
from catalog.services.version_currencies import CurrencyFees
from catalog.services.whole_terms import bare

_OWN = ("unit", "currency", "timing", "group_by")
_ROLLOVER = ("rollover_periods", "rollover_cap", "rollover_cap_percent")
_FEES = ("base_fee", "setup_fee", "minimum_spend", "maximum_spend", "discount_amount")


class PriceForm(forms.ModelForm):
    terms = TermsField()
    group_by = WordsField(
        required=False, help_text="up to two metadata keys, between commas: a line per value"
    )

    class Meta:
        model = UnitPrice
        fields = (*_OWN, "terms", *_ROLLOVER)
        help_texts = {"currency": "empty: the plan's own"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.terms:
            self.initial["terms"] = bare(self.instance.terms)


class _OfDraft:
    """Written while the version is a draft, read for ever after."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever sees the version sees its rows

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_draft(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_draft(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_draft(obj)


class PriceInline(_OfDraft, ChoosesCodes, StackedInline):
    """The prices of a version; `RatePlanVersionAdmin` saves them all at once."""

    model = UnitPrice
    form = PriceForm
    extra = 0
    autocomplete_fields = ("unit",)
    formfield_overrides = PLAIN_DECIMALS

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        if not is_draft(obj):
            return ("unit", "currency", "timing", "explained")
        return ("unit", "terms", "timing", "currency", "group_by", *_ROLLOVER)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if is_draft(obj) else ("explained",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UnitPrice]:
        prices: QuerySet[UnitPrice] = super().get_queryset(request)
        return prices.select_related("unit").order_by("position", "id")

    @display(description="terms")
    def explained(self, price: UnitPrice) -> str:
        """The terms in words, as far as a list of names and values is words."""
        return "\n".join(f"{name}: {_said(value)}" for name, value in price.terms.items())


class CurrencyInline(_OfDraft, ChoosesCodes, TabularInline):
    """Fees in further currencies; prices in them stand with the units."""

    model = VersionCurrency
    formfield_overrides = PLAIN_DECIMALS
    extra = 0
    fields = ("currency", *_FEES)


def is_draft(version: Model | None) -> bool:
    return isinstance(version, RatePlanVersion) and not version.is_published


def prices_written(formset: Any) -> list[PriceDraft]:
    """The prices as they stand on the page, in their order."""
    return [
        PriceDraft(
            path=f"price {number}",
            **{name: said[name] for name in (*_OWN, "terms", *_ROLLOVER)},
        )
        for number, said in enumerate(_said_by(formset), start=1)
        if said.get("unit")
    ]


def currencies_written(formset: Any) -> list[CurrencyFees]:
    """The fees in further currencies as they stand on the page."""
    return [
        CurrencyFees(**{name: said[name] for name in ("currency", *_FEES)})
        for said in _said_by(formset)
        if said.get("currency")
    ]


def _said_by(formset: Any) -> list[dict[str, Any]]:
    forms_left = (form for form in formset.forms if not form.cleaned_data.get("DELETE"))
    return [form.cleaned_data for form in forms_left]


def _said(value: object) -> str:
    match value:
        case list():
            return "; ".join(_said(one) for one in value)
        case dict():
            return ", ".join(f"{name} {_said(one)}" for name, one in value.items())
        case _:
            return str(value)


def model_of(price: UnitPrice) -> str:
    """The pricing model, as a list shows it."""
    return parse_terms(price.terms).model
