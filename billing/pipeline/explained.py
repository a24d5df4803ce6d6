"""Explained: the charges under a usage line, so that anybody can follow how it came about."""

from collections.abc import Iterator
from decimal import Decimal

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Usage
from billing.pipeline.facts import GrantFact
from catalog import pricing
from catalog.pricing import Charge, Terms


def charges_of(usage: Usage, terms: Terms) -> tuple[Charge, ...]:
    """What was measured, what of it was free and why, what is charged, what is not billable.

    They add up to the line. Models that price single events explain them alone.
    """
    if terms.keeps_parts:
        fact = usage.fact
        return terms.charges(pricing.Usage(usage.quantity, fact.event_count, fact.parts))
    billable = pricing.Usage(usage.billable, usage.fact.event_count)
    net_terms = terms.unmeasured().without_allowance()
    return (
        *_measured(usage),
        *_free(usage),
        *net_terms.charges(billable),
        *_capped(usage),
        *_left_over(usage),
    )


def units_by_grant(usage: Usage) -> Iterator[tuple[GrantFact, Decimal]]:
    """How many carried-over units were used of each grant, the oldest first."""
    left = min(usage.free, usage.rollover)
    for grant in usage.fact.grants:
        taken = min(left, grant.units)
        if taken > ZERO:
            yield grant, taken
            left = EXACT.subtract(left, taken)


def _measured(usage: Usage) -> Iterator[Charge]:
    if usage.measured != usage.quantity:
        label = f"{plain(usage.quantity)} counted, {plain(usage.measured)} to be priced"
        yield Charge.fee(label, ZERO, quantity=usage.measured)


def _free(usage: Usage) -> Iterator[Charge]:
    rolled_over = ZERO
    for grant, taken in units_by_grant(usage):
        rolled_over = EXACT.add(rolled_over, taken)
        label = f"rolled over from {grant.period_start:%Y-%m-%d}, until {grant.expires_at:%Y-%m-%d}"
        yield Charge.of(label, taken, ZERO)
    others = EXACT.subtract(min(usage.free, usage.rollover), rolled_over)
    if others:
        yield Charge.of("rolled over", others, ZERO)
    own = EXACT.subtract(usage.free, min(usage.free, usage.rollover))
    if own:
        yield Charge.of("included", own, ZERO)


def _capped(usage: Usage) -> Iterator[Charge]:
    if usage.capped:
        yield Charge.of("beyond the hard cap, not billable", usage.capped, ZERO)


def _left_over(usage: Usage) -> Iterator[Charge]:
    if usage.granted and usage.fact.expires_at is not None:
        label = f"left over, to be used until {usage.fact.expires_at:%Y-%m-%d}"
        yield Charge.of(label, usage.granted, ZERO)
