"""Invoices explained to people: lines with their charges, taxes, events, stages, relatives."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode

from aforo.money import ZERO, minor_units, plain
from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from billing.pipeline import Line

TAX = str(InvoiceLine.Type.TAX)
_NAMES = {"toInvoice": "to invoice"}


@dataclass(frozen=True, slots=True)
class ShownSpan:
    """The events of one running total that a line bills, and where to look at them."""

    total: int
    events: int
    first: int
    last: int
    page: str


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line as text. `charges` are rows of label, quantity, rate and amount."""

    number: int
    type: str
    stage: str
    description: str
    of: str
    quantity: str
    exact: str
    amount: str
    charges: Sequence[Sequence[str]]
    page: str = ""
    csv: str = ""
    spans: Sequence[ShownSpan] = ()
    of_line: int | None = None

    @property
    def is_tax(self) -> bool:
        return self.type == TAX


def money(amount: Decimal, currency: str) -> str:
    return f"{amount:,.{minor_units(currency)}f} {currency}"


def stored_lines(invoice: Invoice) -> list[ShownLine]:
    """The lines of an invoice, in order: two statements, however many there are."""
    rows = InvoiceLine.objects.for_tenant(invoice.tenant_id).filter(invoice=invoice)
    lines = rows.order_by("position").prefetch_related("spans")
    return [_stored(line, invoice, number) for number, line in enumerate(lines, start=1)]


def _stored(line: InvoiceLine, invoice: Invoice, number: int) -> ShownLine:
    spans = [_span(span) for span in line.spans.all()]
    args = [invoice.pk, line.pk]
    return ShownLine(
        number=number,
        type=line.type,
        stage=line.stage,
        description=line.description,
        of=_of(
            (line.period_start_at, line.period_end_at), (line.covers_start_at, line.covers_end_at)
        ),
        quantity=figure(line.quantity),
        exact=plain(line.exact_amount),
        amount=money(line.amount, invoice.currency),
        charges=[_charge(charge) for charge in line.charges],
        page=reverse("admin:billing_invoiceline_change", args=[line.pk]),
        csv=reverse("admin:billing_invoice_line_events", args=args) if spans else "",
        spans=spans,
        of_line=line.of_line,
    )


def drafted_lines(lines: Iterable[Line], currency: str) -> list[ShownLine]:
    """Lines that nobody has written: those of a preview."""
    return [
        ShownLine(
            number=number,
            type=str(line.type),
            stage=line.stage,
            description=line.description,
            of=_of(
                (line.late.period_start, line.late.period_end) if line.late else (None, None),
                line.covers or (None, None),
            ),
            quantity=figure(line.quantity),
            exact=plain(line.exact_amount),
            amount=money(line.amount.amount, currency),
            charges=[
                (
                    charge.label,
                    figure(charge.quantity),
                    "" if charge.unit_price is None else plain(charge.unit_price),
                    plain(charge.amount),
                )
                for charge in line.charges
            ],
            of_line=line.of_line,
        )
        for number, line in enumerate(lines, start=1)
    ]


def figure(quantity: Decimal | None) -> str:
    """A quantity with its thousands apart; empty for none."""
    return "" if quantity is None else f"{quantity.normalize():,f}"


def _charge(stored: Mapping[str, str | None]) -> tuple[str, str, str, str]:
    quantity = figure(Decimal(stored["quantity"] or 0))
    return stored["label"] or "", quantity, stored.get("unitPrice") or "", stored["amount"] or ""


def _of(
    late: tuple[datetime | None, datetime | None], covers: tuple[datetime | None, datetime | None]
) -> str:
    """Which other period a line is of: an earlier one that it adjusts, or one paid in advance."""
    if late[0] and late[1]:
        return f"adjusts {late[0]:%Y-%m-%d} to {late[1]:%Y-%m-%d}"
    if covers[0] and covers[1]:
        return f"for {covers[0]:%Y-%m-%d} to {covers[1]:%Y-%m-%d}"
    return ""


def _span(span: BillRunEventIndex) -> ShownSpan:
    chosen = {
        "running_total_id": span.running_total_id,
        "position__gte": span.first_position,
        "position__lte": span.last_position,
    }
    page = f"{reverse('admin:metering_usageevent_changelist')}?{urlencode(chosen)}"
    first, last = span.first_position, span.last_position
    return ShownSpan(span.running_total_id, span.event_count, first, last, page)


@dataclass(frozen=True, slots=True)
class ShownStage:
    """One of the ten stages: the total before and after, what it says, and what it changed."""

    number: int
    name: str
    before: str
    after: str
    changed: str
    notes: Sequence[str]
    figures: Sequence[str]
    microseconds: int


def shown_stages(stages: Iterable[Mapping[str, Any]]) -> list[ShownStage]:
    """The record of the stages, for people."""
    return [_stage(number, stage) for number, stage in enumerate(stages, start=1)]


def _stage(number: int, stage: Mapping[str, Any]) -> ShownStage:
    before, after = stage["before"], stage["after"]
    change = Decimal(after.get("total", 0)) - Decimal(before.get("total", 0))
    return ShownStage(
        number=number,
        name=stage["stage"],
        before=str(before.get("total", "")),
        after=str(after.get("total", "")),
        changed="" if change == ZERO else f"{'+' if change > 0 else ''}{plain(change)}",
        notes=stage["notes"],
        figures=list(_figures(before, after)),
        microseconds=stage["microseconds"],
    )


def _figures(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What the stage knew afterwards that it had not been given, one sentence for each."""
    for name, value in after.items():
        if name in {"total", "usage"} or before.get(name) == value:
            continue
        was = f"{_said(before[name])} → " if name in before else ""
        yield f"{_NAMES.get(name, name)}: {was}{_said(value)}"
    given = before.get("usage", [])
    for usage in after.get("usage", []):
        if usage not in given:
            known = ", ".join(f"{name} {value}" for name, value in usage.items() if name != "unit")
            yield f"{usage['unit']}: {known}"


def _said(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def relatives_of(invoice: Invoice) -> list[tuple[str, str, str, str, str]]:
    """What it is a part of, its parts, what it replaces and what replaces it, with links."""
    own = Invoice.objects.for_tenant(invoice.tenant_id).select_related("customer")
    found = [
        ("a part of", own.filter(pk=invoice.part_of_id)),
        ("part", own.filter(part_of=invoice).order_by("number", "created_at", "pk")),
        ("replaces", own.filter(pk=invoice.replaces_id)),
        ("is replaced by", own.filter(replaces=invoice).order_by("created_at", "pk")),
    ]
    return [
        (
            what,
            one.number or "draft",
            f"{one.customer}, {one.get_status_display().lower()}",
            money(one.total, one.currency),
            reverse("admin:billing_invoice_change", args=[one.pk]),
        )
        for what, rows in found
        for one in rows
    ]
