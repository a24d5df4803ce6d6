"""Truths that always hold: checked in tests, by `aforo check`, and by Beat every hour."""

from collections.abc import Callable, Iterator
from uuid import UUID

import structlog

from billing.invariants import costs, counters, families, guards, ledger, leftovers, limits, papers
from billing.invariants.violations import Scope, Violation

__all__ = ["TRUTHS", "Violation", "broken_truths", "check_and_log", "violations_by_truth"]

log = structlog.get_logger(__name__)

TRUTHS: dict[str, Callable[[Scope], Iterator[Violation]]] = {
    "every received event is in exactly one place": ledger.unaccounted_events,
    "running total = aggregate of its events": ledger.totals_off_their_events,
    "a level or percentile is that of all events": ledger.quantities_off_all_events,
    "the cost of a total is that of the usage that stands": costs.costs_off_their_usage,
    "what is counted is of a period that can be billed": ledger.totals_without_a_period,
    "the digest of a total chains all of its events": ledger.broken_chains,
    "charge(0) + marginals + adjustments = price of the total": ledger.totals_off_their_price,
    "every event lies in a month's own partition": ledger.strays_of_partitions,
    "invoice total = sum of its lines": papers.invoices_off_their_lines,
    "usage line = price of its span, under published terms": papers.lines_off_their_spans,
    "what is billed is below the watermark of its total": papers.spans_above_watermarks,
    "no period is billed twice": papers.periods_billed_twice,
    "invoice numbers have no gaps": papers.gaps_in_numbers,
    "a consolidated invoice is the sum of its parts": families.wholes_off_their_parts,
    "nothing is issued before its tax is settled": families.issued_without_tax,
    "units granted + used free <= allowance + units received": leftovers.units_given_twice,
    "units that went on = units received": leftovers.units_that_nobody_received,
    "what was asked for early is asked for once": families.usage_asked_for_twice,
    "no invoice is below zero, no discount above its lines": limits.discounts_above_their_lines,
    "a trial is never invoiced": limits.trials_that_were_invoiced,
    "what was cancelled or has expired stays so": limits.ends_that_were_left,
    "quotas that gateways go by are those of the totals": counters.quotas_off_their_totals,
    "the database still refuses what must never change": guards.missing_triggers,
}


def violations_by_truth(
    *, tenant_id: UUID | None = None, full: bool = False
) -> Iterator[tuple[str, list[Violation]]]:
    """Check every truth, of one tenant or of all; with `full` every row, else a fair sample.

    Truths whose rows are few are checked whole in any case.
    """
    scope = Scope(tenant_id, full)
    for truth, violations in TRUTHS.items():
        yield truth, list(violations(scope))


def broken_truths(
    *, tenant_id: UUID | None = None, full: bool = False
) -> dict[str, list[Violation]]:
    """Only what does not hold; empty when all is well."""
    checked = violations_by_truth(tenant_id=tenant_id, full=full)
    return {truth: violations for truth, violations in checked if violations}


def check_and_log() -> int:
    """The number of violations found in a sample; each is an error in the log."""
    broken = broken_truths()
    for truth, violations in broken.items():
        for violation in violations:
            log.error("truth_broken", truth=truth, subject=violation.subject, found=violation.found)
    return sum(map(len, broken.values()))
