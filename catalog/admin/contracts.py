"""Contracts: the ramp is a table on the page of a draft, each step has a page for its prices."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget

from aforo.tenancy.admin_base import TenantFilter, after_dialog, become
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of, told
from catalog.models import Contract, ContractPhase
from catalog.services import contract_prices, contracts
from catalog.services.contract_terms import PhaseDraft

TERM_FIELDS = (
    "name",
    "currency",
    "start_at",
    "end_at",
    "minimum_spend",
    "maximum_spend",
    "auto_renew",
    "renewal_months",
)
_WHOSE = ("tenant", "customer", "subscription")
_STEP = ("minimum_spend", "maximum_spend", "discount_percent", "discount_amount")
_COLOURS = {"Draft": "warning", "Active": "success", "Ended": "info", "Terminated": "danger"}


class PhaseForm(forms.ModelForm):
    """A step of a ramp, from a moment or so many months into the term; the first needs neither."""

    month_offset = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=1200,
        widget=UnfoldAdminIntegerFieldWidget,
        label="months into the term",
        help_text="or a start",
    )

    class Meta:
        model = ContractPhase
        fields = ("start_at", *_STEP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["start_at"].required = False

    def _get_validation_exclusions(self) -> set[str]:
        """The service puts the start where it belongs, and says what is wrong with the phases."""
        excluded = super()._get_validation_exclusions()  # type: ignore[misc]  # not in the stubs
        return {*excluded, "start_at", "end_at"}


class PhaseInline(TabularInline):
    """The ramp of a draft; `ContractAdmin` saves all of it at once."""

    model = ContractPhase
    form = PhaseForm
    extra = 0
    fields = ("month_offset", "start_at", *_STEP)
    ordering = ("start_at",)
    show_change_link = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever sees the contract sees its phases

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None or _is_draft(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None or _is_draft(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj)


class GivingUp(BaseDialogForm):
    reason = forms.CharField(required=False, max_length=1000, widget=UnfoldAdminTextareaWidget)


@admin.register(Contract)
class ContractAdmin(CatalogAdmin):
    """What single customers have agreed beyond the price list."""

    list_display = (
        "name",
        "tenant",
        "customer",
        "state",
        "currency",
        "start_at",
        "end_at",
        "auto_renew",
    )
    list_select_related = ("tenant", "customer")
    list_filter = (TenantFilter, "status", "auto_renew", "currency")
    search_fields = ("name", "customer__external_id", "customer__name")
    autocomplete_fields = _WHOSE
    inlines = (PhaseInline,)
    actions = ("activate",)
    actions_detail = ("activate_this", "terminate_this")

    @display(description="state", label=_COLOURS)
    def state(self, contract: Contract) -> str:
        return contract.get_status_display()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        stored = () if obj is None else ("status", "renewed_from", "activated_at")
        return (*_WHOSE, *TERM_FIELDS, *stored)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        if obj is None:
            return ()
        agreed = () if _is_draft(obj) else set(TERM_FIELDS) - contracts.AGREED_EDITABLE
        fixed = (*_WHOSE, "status", "renewed_from", "activated_at")
        return (*fixed, *(name for name in TERM_FIELDS if name in agreed))

    def save_model(self, request: HttpRequest, obj: Contract, form: Any, change: bool) -> None:
        """Nothing yet: the contract and its phases go to the service together."""

    def save_related(
        self, request: HttpRequest, form: Any, formsets: list[Any], change: bool
    ) -> None:
        row = form.instance
        doing = self.doer(request, row.tenant)
        phases = _written(formsets)
        if change:
            edits = changed_fields(form)
            is_ramp_new = any(formset.has_changed() for formset in formsets)
            saved = contracts.edit_contract(
                contract=row, edits=edits, phases=phases if is_ramp_new else None, **doing
            )
        else:
            given = fields_of(row, ("customer", "subscription", *TERM_FIELDS))
            saved = contracts.create_contract(tenant=row.tenant, phases=phases, **given, **doing)
        become(row, saved)

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Contract]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda contract, doing: contracts.activate_contract(contract=contract, **doing),
            "contracts activated",
        )

    def has_activate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether the page of a contract offers to agree it."""
        contract = self.get_object(request, object_id) if object_id else None
        return _is_draft(contract) and self.has_change_permission(request, contract)

    def has_terminate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether the page of a contract offers to give it up."""
        contract = self.get_object(request, object_id) if object_id else None
        is_live = contract is not None and contract.status in {
            Contract.Status.DRAFT,
            Contract.Status.ACTIVE,
        }
        return is_live and self.has_change_permission(request, contract)

    @action(
        description="Activate",
        permissions=["activate"],
        url_path="activate",
        icon="handshake",
        dialog={
            "title": "Activate this contract?",
            "description": "Its phases and prices can never be changed again. They hold for"
            " billing periods that begin from now on.",
            "form_class": None,
            "form_submit_text": "Activate",
        },
    )
    def activate_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        contract = self._own(request, object_id)
        with told(request):
            contracts.activate_contract(contract=contract, **self.doer(request, contract.tenant))
            self.message_user(request, f"{contract} is in force")
        return after_dialog(request, reverse("admin:catalog_contract_change", args=(object_id,)))

    @action(
        description="Terminate",
        permissions=["terminate"],
        url_path="terminate",
        icon="cancel",
        dialog={
            "title": "Terminate this contract?",
            "description": "Billing periods that have begun keep its terms.",
            "form_class": GivingUp,
            "form_submit_text": "Terminate",
        },
    )
    def terminate_this(
        self, request: HttpRequest, form: forms.Form, object_id: str
    ) -> HttpResponse:
        contract = self._own(request, object_id)
        with told(request):
            contracts.terminate_contract(
                contract=contract,
                reason=form.cleaned_data["reason"],
                **self.doer(request, contract.tenant),
            )
            self.message_user(request, f"{contract} is terminated")
        return after_dialog(request, reverse("admin:catalog_contract_change", args=(object_id,)))

    def _own(self, request: HttpRequest, object_id: str) -> Contract:
        contract: Contract | None = self.get_object(request, object_id)
        if contract is None or not self.has_change_permission(request, contract):
            raise PermissionDenied
        return contract


def _is_draft(contract: Model | None) -> bool:
    return isinstance(contract, Contract) and contract.status == Contract.Status.DRAFT


def _written(formsets: list[Any]) -> list[PhaseDraft]:
    """The phases as they stand on the page, each with the prices it has."""
    return [
        PhaseDraft(
            start_at=form.cleaned_data.get("start_at"),
            month_offset=form.cleaned_data.get("month_offset"),
            **{name: form.cleaned_data[name] for name in _STEP},
            prices=contract_prices.as_drafts(form.instance) if form.initial else (),
            path=f"phase {number}",
        )
        for formset in formsets
        for number, form in enumerate(formset.forms, start=1)
        if form.cleaned_data and not form.cleaned_data.get("DELETE")
    ]
