"""The buttons of an invoice."""

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import UnfoldBooleanSwitchWidget

from aforo.tenancy import clock
from aforo.tenancy.admin_acts import Act, NoteForm, ReasonForm
from aforo.tenancy.services.actors import Actor
from billing.models import Invoice
from billing.services.invoice_states import LEGAL, mark_uncollectible
from billing.services.invoices import finalize_invoice
from billing.services.regenerating import refresh_invoice, regenerate_invoice
from billing.services.voiding import void_invoice

Status = Invoice.Status
_VOIDABLE = frozenset(status for status in Status if Status.VOID in LEGAL[status])
Given = Mapping[str, Any]


class RegenerateForm(NoteForm):
    finalize = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="issue it, after the days of grace; else it is a draft",
    )
    field_order = ("finalize", "reason")


def acts_of_invoice(invoice: Invoice) -> dict[str, Act]:
    """What may be done to an invoice in its state; nothing to a part, which follows its whole."""
    if invoice.part_of_id is not None:
        return {}
    acts = {name: act for name, act in ACTS.items() if invoice.status in act.states}
    if invoice.tax_status != Invoice.TaxStatus.SETTLED:
        acts.pop("finalize", None)
    return acts


def _finalize(invoice: Invoice, given: Given, actor: Actor) -> Invoice:
    return finalize_invoice(invoice=invoice, actor=actor, now=clock.now(invoice.tenant), **given)


def _refresh(invoice: Invoice, given: Given, actor: Actor) -> Invoice:
    return refresh_invoice(invoice=invoice, actor=actor, now=clock.now(invoice.tenant), **given)


def _void(invoice: Invoice, given: Given, actor: Actor) -> Invoice:
    return void_invoice(invoice=invoice, actor=actor, now=clock.now(invoice.tenant), **given)


def _regenerate(invoice: Invoice, given: Given, actor: Actor) -> Invoice:
    return regenerate_invoice(invoice=invoice, actor=actor, now=clock.now(invoice.tenant), **given)


def _give_up(invoice: Invoice, given: Given, actor: Actor) -> Invoice:
    return mark_uncollectible(invoice=invoice, actor=actor, now=clock.now(invoice.tenant), **given)


ACTS: Mapping[str, Act] = {
    "finalize": Act(
        "Finalize",
        "task_alt",
        "It gets its number and is owed from now on. Nothing of it can be changed afterwards.",
        {Status.DRAFT},
        _finalize,
    ),
    "refresh": Act(
        "Refresh",
        "refresh",
        "It is priced anew from the totals as they stand now, and keeps its id.",
        {Status.DRAFT},
        _refresh,
    ),
    "uncollectible": Act(
        "Mark uncollectible",
        "money_off",
        "Nobody expects it to be paid any more.",
        {Status.OVERDUE},
        _give_up,
        ReasonForm,
        is_dangerous=True,
    ),
    "void": Act(
        "Void",
        "block",
        "It asks for nothing any more. Its number stays used, and what it billed is not billed"
        " until another invoice is generated in its place.",
        _VOIDABLE,
        _void,
        ReasonForm,
        is_dangerous=True,
    ),
    "regenerate": Act(
        "Regenerate",
        "restart_alt",
        "Another invoice is made instead of this one, once, from the totals as they stand now.",
        {Status.VOID},
        _regenerate,
        RegenerateForm,
    ),
}
