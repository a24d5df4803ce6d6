"""Proving a whole invoice: every line, then the digest and the sums on the paper."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from aforo.money import EXACT, ZERO
from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from billing.services.consolidation import in_part_order
from billing.verification.evidence import Exhibits
from billing.verification.lines import line_steps
from billing.verification.steps import ARCHIVE, Step

Type = InvoiceLine.Type
_ASKED = tuple(type_ for type_ in Type if type_ not in {Type.DISCOUNT, Type.TAX})

_SUMS_OF_PARTS = {
    "subtotal": "subtotal",
    "discounts": "discount_total",
    "tax": "tax_total",
    "total": "total",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """All steps of one invoice: its lines in their order, then the whole."""

    reference: str
    currency: str
    total: Decimal
    descriptions: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def holds(self) -> bool:
        return not self.broken

    @property
    def needs_archive(self) -> bool:
        """Whether nothing is broken, but some events have to be brought back to prove the rest."""
        return not self.holds and all(step.claim == ARCHIVE for step in self.broken)

    @property
    def broken(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if not step.holds)


def verify_invoice(invoice: Invoice) -> Verification:
    """Replay events -> digest -> quantity -> price -> line -> total, and say what does not hold.

    Of a consolidated one, all of its parts. Memory stays flat however many events there are;
    nothing is written.
    """
    if invoice.kind == Invoice.Kind.CONSOLIDATED:
        return _verify_whole(invoice)
    lines = list(
        InvoiceLine.objects.for_tenant(invoice.tenant_id)
        .filter(invoice=invoice)
        .order_by("position")
    )
    exhibits = Exhibits(invoice, lines)
    steps = [
        step for line in lines for step in line_steps(line, exhibits, currency=invoice.currency)
    ]
    return Verification(
        reference=str(invoice),
        currency=invoice.currency,
        total=invoice.total,
        descriptions=tuple(line.description for line in lines),
        steps=(*steps, _digest(invoice, lines), *_sums(invoice, lines)),
    )


def _verify_whole(whole: Invoice) -> Verification:
    """Every part by itself, then that the whole is their sum."""
    rows = Invoice.objects.for_tenant(whole.tenant_id).filter(part_of=whole)
    parts = list(in_part_order(rows))
    steps = [step for part in parts for step in _part_steps(verify_invoice(part))]
    digest = hashlib.sha256(b"".join(bytes(part.digest) for part in parts)).digest()
    steps.append(_shown(whole, digest))
    for claim, name in _SUMS_OF_PARTS.items():
        total = ZERO
        for part in parts:
            total = EXACT.add(total, getattr(part, name))
        steps.append(Step.equal(claim, total, getattr(whole, name), of="the invoice"))
    return Verification(str(whole), whole.currency, whole.total, (), tuple(steps))


def _part_steps(proof: Verification) -> Iterator[Step]:
    """One step for a part that holds, else each that does not, told of the part."""
    if proof.holds:
        found = f"{proof.reference}: all of its {len(proof.steps)} claims"
        yield Step("part", holds=True, found=found)
    for step in proof.broken:
        place = proof.reference if step.line is None else f"{proof.reference}, line {step.line}"
        yield replace(step, found=f"{place}: {step.found}", line=None)


def _digest(invoice: Invoice, lines: Sequence[InvoiceLine]) -> Step:
    """The anchor that is printed on the paper."""
    spans = BillRunEventIndex.objects.for_tenant(invoice.tenant_id).filter(line__in=lines)
    by_line = dict(spans.values_list("line_id", "digest"))
    chained = b"".join(bytes(by_line[line.id]) for line in lines if line.id in by_line)
    return _shown(invoice, hashlib.sha256(chained).digest())


def _shown(invoice: Invoice, digest: bytes) -> Step:
    """Whether the paper shows this digest."""
    holds = digest == bytes(invoice.digest)
    found = f"sha256:{digest.hex()}" if holds else "the invoice shows another digest"
    return Step("digest", holds=holds, found=found)


def _sums(invoice: Invoice, lines: Sequence[InvoiceLine]) -> Iterator[Step]:
    subtotal = _sum(lines, *_ASKED)
    discounts = EXACT.minus(_sum(lines, Type.DISCOUNT))
    tax = _sum(lines, Type.TAX)
    yield Step.equal("subtotal", subtotal, invoice.subtotal, of="the invoice")
    yield Step.equal("discounts", discounts, invoice.discount_total, of="the invoice")
    yield Step.equal("tax", tax, invoice.tax_total, of="the invoice")
    yield Step.equal("total", _sum(lines, *Type), invoice.total, of="the invoice")


def _sum(lines: Sequence[InvoiceLine], *types: Type) -> Decimal:
    total = ZERO
    for line in lines:
        if line.type in types:
            total = EXACT.add(total, line.amount)
    return total
