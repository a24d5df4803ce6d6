"""Allowance: included units cost nothing. This is the only place that subtracts them."""

from collections.abc import Iterator
from dataclasses import replace

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Draft, Usage
from billing.pipeline.facts import Facts
from billing.pipeline.lines import label


def subtract_allowance(draft: Draft, facts: Facts) -> Draft:
    """Split every quantity into free, capped and billable units, which together are all of it.

    Free are those within the included units and the rollover, capped those beyond a hard cap.
    A quantity below zero has none of the three.
    """
    if not draft.usage:
        return draft
    split = tuple(_split(usage) for usage in draft.usage)
    notes = (note for usage in split for note in _notes(usage, label(usage.fact, facts)))
    return replace(draft, usage=split).noting(*notes)


def _split(usage: Usage) -> Usage:
    allowance = EXACT.add(usage.fact.terms.included_free, usage.rollover)
    quantity = max(usage.quantity, ZERO)
    free = min(quantity, allowance)
    allowed = quantity if usage.cap is None else min(quantity, usage.cap)
    return replace(
        usage,
        allowance=allowance,
        free=free,
        capped=EXACT.subtract(quantity, allowed),
        billable=EXACT.subtract(allowed, free),
    )


def _notes(usage: Usage, name: str) -> Iterator[str]:
    if usage.free:
        yield f"{name}: {plain(usage.free)} of {plain(usage.allowance)} free units used"
    if usage.capped:
        yield f"{name}: {plain(usage.capped)} beyond the hard cap, not billable"
