"""Allowance: included units cost nothing. This is the only place that subtracts them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Draft, Usage
from billing.pipeline.explained import units_by_grant
from billing.pipeline.facts import Facts
from billing.pipeline.lines import label


def subtract_allowance(draft: Draft, facts: Facts) -> Draft:
    """Split every measured quantity into free, capped and billable units, which are all of it.

    Free are those within the included units and the rollover, capped those beyond a hard cap.
    A quantity below zero has none of the three. Carried-over units are used first, the oldest of
    them before others; included ones that are left may be carried on.
    """
    if not draft.usage:
        return draft
    split = tuple(_leaving_over([_split(usage) for usage in draft.usage], facts))
    notes = (note for usage in split for note in _notes(usage, label(usage.fact, facts), facts))
    return replace(
        draft,
        usage=split,
        granted=tuple(
            (usage.fact.running_total_id, usage.granted) for usage in split if usage.granted
        ),
        used=tuple(_used(split)),
        passed_on=tuple(
            (usage.fact.running_total_id, usage.passed_on) for usage in split if usage.passed_on
        ),
    ).noting(*notes)


def _split(usage: Usage) -> Usage:
    allowance = EXACT.add(usage.fact.terms.included_free, usage.rollover)
    quantity = max(usage.measured, ZERO)
    free = min(quantity, allowance)
    allowed = quantity if usage.cap is None else min(quantity, usage.cap)
    return replace(
        usage,
        allowance=allowance,
        free=free,
        capped=EXACT.subtract(quantity, allowed),
        billable=EXACT.subtract(allowed, free),
    )


def _leaving_over(split: Sequence[Usage], facts: Facts) -> Iterator[Usage]:
    """Say what of each is left of older grants, and of its own included units, for later periods.

    A cap is on all units of a kind that go on together, whichever plans they are of: what older
    grants still hold comes first. Late usage of this period may not have them.
    """
    held = [_held(usage, facts) for usage in split]
    ahead: defaultdict[tuple[UUID, str], Decimal] = defaultdict(lambda: ZERO)
    for usage, units in zip(split, held, strict=True):
        ahead[_kind(usage)] = EXACT.add(ahead[_kind(usage)], units)
    for usage, units in zip(split, held, strict=True):
        granted = _granted(usage, ahead[_kind(usage)])
        ahead[_kind(usage)] = EXACT.add(ahead[_kind(usage)], granted)
        passed_on = EXACT.add(units, granted) if usage.fact.goes_on else granted
        yield replace(usage, granted=granted, passed_on=passed_on)


def _kind(usage: Usage) -> tuple[UUID, str]:
    return usage.fact.unit_id, usage.fact.dimension


def _granted(usage: Usage, ahead: Decimal) -> Decimal:
    """What is left of this period's own included units, as far as the cap lets it live on."""
    fact = usage.fact
    if fact.expires_at is None:
        return ZERO
    own = EXACT.subtract(usage.free, min(usage.free, usage.rollover))
    left = EXACT.subtract(fact.terms.included_free, own)
    if fact.rollover_cap is None:
        return left
    return max(ZERO, min(left, EXACT.subtract(fact.rollover_cap, ahead)))


def _held(usage: Usage, facts: Facts) -> Decimal:
    """What is left of the units that it was granted, and lives on as far as the cap lets it."""
    used = {grant.grant_id: taken for grant, taken in units_by_grant(usage)}
    held = ZERO
    for grant in usage.fact.grants:
        if grant.expires_at > facts.goes_on_at:
            rest = EXACT.subtract(grant.units, used.get(grant.grant_id, ZERO))
            held = EXACT.add(held, rest)
    unspent = EXACT.subtract(usage.rollover, min(usage.free, usage.rollover))
    cap = usage.fact.rollover_cap
    return min(held, unspent) if cap is None else min(held, unspent, cap)


def _used(split: tuple[Usage, ...]) -> Iterator[tuple[UUID, Decimal]]:
    for usage in split:
        for grant, taken in units_by_grant(usage):
            yield grant.grant_id, taken


def _notes(usage: Usage, name: str, facts: Facts) -> Iterator[str]:
    if usage.free:
        yield f"{name}: {plain(usage.free)} of {plain(usage.allowance)} free units used"
    if usage.capped:
        yield f"{name}: {plain(usage.capped)} beyond the hard cap, not billable"
    if usage.granted and usage.fact.expires_at is not None:
        until = f"{usage.fact.expires_at:%Y-%m-%d}"
        yield f"{name}: {plain(usage.granted)} included units left over, until {until}"
    yield from _expired(usage, name, facts)


def _expired(usage: Usage, name: str, facts: Facts) -> Iterator[str]:
    used = {grant.grant_id: taken for grant, taken in units_by_grant(usage)}
    for grant in usage.fact.grants:
        rest = EXACT.subtract(grant.units, used.get(grant.grant_id, ZERO))
        if rest and grant.expires_at <= facts.goes_on_at:
            since = f"{grant.period_start:%Y-%m-%d}"
            yield f"{name}: {plain(rest)} units rolled over from {since} have expired"
