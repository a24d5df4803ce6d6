"""The page of one step of a contract's ramp: what units cost in it, without a word of JSON."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import StackedInline
from unfold.decorators import display

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, plainly
from catalog.admin.base import CatalogAdmin
from catalog.admin.terms_table import TermsField
from catalog.models import Contract, ContractPhase, ContractPrice
from catalog.services import contracts
from catalog.services.contract_prices import AgreedPriceDraft

_STEP = ("minimum_spend", "maximum_spend", "discount_percent", "discount_amount")


class AgreedPriceForm(forms.ModelForm):
    terms = TermsField(required=False)

    class Meta:
        model = ContractPrice
        fields = ("unit", "terms", "included_free")
        help_texts = {"included_free": "alone, without a model: instead of the plan's allowance"}

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        has_terms, allowance = said.get("terms") is not None, said.get("included_free")
        if "terms" in said and has_terms == (allowance is not None):
            self.add_error("included_free", "either a model with its terms, or this alone")
        if isinstance(allowance, Decimal) and allowance < 0:
            self.add_error("included_free", "must not be negative")
        return said


class AgreedPriceInline(StackedInline):
    """The prices of a draft's phase; `ContractPhaseAdmin` saves them all at once."""

    model = ContractPrice
    form = AgreedPriceForm
    extra = 0
    fields = ("unit", "terms", "included_free")
    autocomplete_fields = ("unit",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContractPrice]:
        prices: QuerySet[ContractPrice] = super().get_queryset(request)
        return prices.select_related("unit").order_by("unit__name")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever sees the phase sees its prices

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_of_draft(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_of_draft(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_of_draft(obj)


@admin.register(ContractPhase)
class ContractPhaseAdmin(CatalogAdmin):
    """One step of a ramp; it is put into the contract on the contract's own page."""

    list_display = ("contract", "tenant", "start_at", "end_at", *map(plainly, _STEP[:2]))
    list_select_related = ("tenant", "contract")
    list_filter = (TenantFilter, "contract__status")
    search_fields = ("contract__name", "contract__customer__external_id")
    fields = ("tenant", "contract", "start_at", "end_at", *map(plainly, _STEP))
    readonly_fields = fields
    inlines = (AgreedPriceInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        may = super().has_change_permission(request, obj)
        return may and (obj is None or _is_of_draft(obj))

    def save_model(self, request: HttpRequest, obj: ContractPhase, form: Any, change: bool) -> None:
        """Nothing: only prices are written here, all at once, in `save_related`."""

    def save_related(
        self, request: HttpRequest, form: Any, formsets: list[Any], change: bool
    ) -> None:
        phase = form.instance
        contracts.price_phase(
            phase=phase, prices=_written(formsets), **self.doer(request, phase.tenant)
        )


@admin.register(ContractPrice)
class ContractPriceAdmin(ReadOnlyAdmin):
    """Every agreed price, to be searched."""

    list_display = ("unit", "phase", "tenant", "pricing_model", plainly("included_free"))
    list_select_related = ("tenant", "unit", "phase__contract")
    list_filter = (TenantFilter, "phase__contract__status")
    search_fields = ("unit__name", "phase__contract__name")

    @display(description="model")
    def pricing_model(self, price: ContractPrice) -> str:
        return str((price.terms or {}).get("model", "the plan's"))


def _is_of_draft(phase: Model | None) -> bool:
    return isinstance(phase, ContractPhase) and phase.contract.status == Contract.Status.DRAFT


def _written(formsets: list[Any]) -> list[AgreedPriceDraft]:
    return [
        AgreedPriceDraft(
            unit=form.cleaned_data["unit"],
            terms=form.cleaned_data["terms"],
            included_free=form.cleaned_data["included_free"],
            path=f"price {number}",
        )
        for formset in formsets
        for number, form in enumerate(formset.forms, start=1)
        if form.cleaned_data.get("unit") and not form.cleaned_data.get("DELETE")
    ]
