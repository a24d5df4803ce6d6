"""What of a running period has been asked for already, by invoices of usage so far."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from billing.models import Invoice, InvoiceLine
from billing.pipeline import EarlierFact, LineType
from billing.pipeline.tax_base import Part, takes_back, taxable_bases

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
        for tax_code, amount in sorted(_by_code(asked, invoice.currency).items()):
            fact = EarlierFact(invoice.pk, invoice.number or "", amount, tax_code)
            found[invoice.period_id].append(fact)
    return {period_id: tuple(facts) for period_id, facts in found.items()}


def _by_code(lines: Sequence[InvoiceLine], currency: str) -> Mapping[str, Decimal]:
    """What they come to by the tax code that it was taxed by, discounts taken off."""
    found: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for part, base in taxable_bases([_part(line) for line in lines], currency).items():
        found[part.tax_code] = EXACT.add(found[part.tax_code], base)
    return {tax_code: amount for tax_code, amount in found.items() if amount}


def _part(line: InvoiceLine) -> Part:
    return Part(
        number=line.position,
        type=LineType(line.type),
        amount=line.amount,
        tax_code=line.tax_code,
        version_id=line.version_id,
        of_line=line.of_line,
        takes_back=takes_back(line.stage, line.type),
    )
