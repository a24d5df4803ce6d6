"""What of a running period has been asked for already, by invoices of usage so far."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from billing.models import Invoice, InvoiceLine
from billing.pipeline import EarlierFact
from billing.pipeline.tax_base import taxable_bases
from billing.selectors.tax_parts import part_of

TAX = "Tax"  # the stage whose lines are no part of what was asked for usage


def earlier_facts(
    *, tenant_id: UUID, period_ids: Collection[UUID]
) -> Mapping[UUID, tuple[EarlierFact, ...]]:
    """Standing PROGRESS invoices of these periods, by period, the oldest first; one statement."""
    rows = (
        InvoiceLine.objects.for_tenant(tenant_id)
        .filter(invoice__period__in=period_ids, invoice__kind=Invoice.Kind.PROGRESS)
        .exclude(invoice__status=Invoice.Status.VOID)
        .exclude(stage=TAX)
        .select_related("invoice")
        .order_by("invoice__created_at", "invoice_id", "position")
    )
    lines: defaultdict[Invoice, list[InvoiceLine]] = defaultdict(list)
    for row in rows:
        lines[row.invoice].append(row)
    found: defaultdict[UUID, list[EarlierFact]] = defaultdict(list)
    for invoice, asked in lines.items():
        assert invoice.period_id is not None  # noqa: S101 - by which they were chosen
        for tax_code, amount in sorted(by_code(asked, invoice.currency).items()):
            fact = EarlierFact(invoice.pk, invoice.number or "", amount, tax_code)
            found[invoice.period_id].append(fact)
    return {period_id: tuple(facts) for period_id, facts in found.items()}


def by_code(lines: Sequence[InvoiceLine], currency: str) -> Mapping[str, Decimal]:
    """What lines come to by the tax code that it was taxed by, discounts taken off.

    Below zero where what was given back has more of a code than was asked for.
    """
    found: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for part, base in taxable_bases([part_of(line) for line in lines], currency).items():
        found[part.tax_code] = EXACT.add(found[part.tax_code], base)
    return {tax_code: amount for tax_code, amount in found.items() if amount}
