"""Proving one invoice line: its events, their number and quantity, its price, its amount."""

from collections.abc import Iterator
from decimal import Decimal

from aforo.money import EXACT, ZERO, round_to_minor
from billing.attribution import Replay, replay
from billing.models import InvoiceLine
from billing.verification.evidence import Evidence, Exhibits, Unprovable
from billing.verification.steps import ARCHIVE, Step


def line_steps(line: InvoiceLine, exhibits: Exhibits, *, currency: str) -> Iterator[Step]:
    """The steps of `line`, cheapest explanation first: a changed event is named before its sums."""
    if line.type == InvoiceLine.Type.USAGE_FEE:
        try:
            evidence = exhibits.of(line)
        except Unprovable as error:
            yield Step("evidence", holds=False, found=str(error), line=line.position)
        else:
            archive = exhibits.archive_of(line)
            if archive is None:
                yield from _usage_steps(line, evidence)
            else:
                yield Step(ARCHIVE, holds=False, found=archive, line=line.position)
    yield Step.equal(
        "amount",
        round_to_minor(line.exact_amount, currency),
        line.amount,
        of="the line",
        line=line.position,
    )


def _usage_steps(line: InvoiceLine, evidence: Evidence) -> Iterator[Step]:
    replayed = replay(
        evidence.span,
        key=evidence.key,
        unit=evidence.unit,
        voids=evidence.voids,
        counting=evidence.counting,
    )
    yield _events(line, evidence, replayed)
    yield _quantity(line, evidence, replayed)
    if evidence.is_adjustment:
        yield Step.equal(
            "billed before",
            replayed.before.quantity,
            evidence.billed.quantity,
            of="earlier invoices together",
            line=line.position,
        )
    yield Step.equal(
        "revenue",
        EXACT.add(replayed.revenue, evidence.adjustments),
        evidence.span.revenue,
        of="the span",
        line=line.position,
    )
    yield _terms(line, evidence)
    yield from _price(line, evidence, replayed)


def _events(line: InvoiceLine, evidence: Evidence, replayed: Replay) -> Step:
    span = evidence.span
    flaw = replayed.flaw
    if flaw is None and replayed.event_count != span.event_count:
        flaw = f"{replayed.event_count} events, but the span says {span.event_count}"
    found = flaw or f"{replayed.row_count} events, sha256:{replayed.digest.hex()[:16]}…"
    return Step("events", holds=flaw is None, found=found, line=line.position)


def _quantity(line: InvoiceLine, evidence: Evidence, replayed: Replay) -> Step:
    """Aggregated anew; the span and the line must both say it."""
    said = line.quantity if line.quantity is not None else ZERO
    expected = evidence.span.quantity if evidence.span.quantity != replayed.quantity else said
    return Step.equal("quantity", replayed.quantity, expected, of="the invoice", line=line.position)


def _terms(line: InvoiceLine, evidence: Evidence) -> Step:
    holds = evidence.terms == evidence.published
    found = evidence.terms.model if holds else "not the terms of the published plan version"
    return Step("terms", holds=holds, found=found, line=line.position)


def _price(line: InvoiceLine, evidence: Evidence, replayed: Replay) -> Iterator[Step]:
    """The price of all usage at once, then what its events added to it one by one."""
    price = evidence.price(replayed.before, replayed.after)
    yield Step.equal("price", price, line.exact_amount, of="the line", line=line.position)
    added = evidence.added(EXACT.add(replayed.revenue, evidence.adjustments))
    yield Step.equal("marginals", added, price, of="the price", line=line.position)
    charges = _sum_of_charges(line)
    yield Step.equal("charges", charges, line.exact_amount, of="the line", line=line.position)


def _sum_of_charges(line: InvoiceLine) -> Decimal:
    total = ZERO
    for charge in line.charges:
        total = EXACT.add(total, Decimal(charge["amount"]))
    return total
