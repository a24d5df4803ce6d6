"""Allowance: included units cost nothing. This is the only place that subtracts them."""

from collections.abc import Iterator
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
    split = tuple(_split(usage, facts) for usage in draft.usage)
    notes = (note for usage in split for note in _notes(usage, label(usage.fact, facts), facts))
    return replace(
        draft,
        usage=split,
        granted=tuple(
            (usage.fact.running_total_id, usage.granted) for usage in split if usage.granted
        ),
        used=tuple(_used(split)),
        passed_on=tuple(
            (usage.fact.running_total_id, units)
            for usage in split
            if (units := _passed_on(usage, facts))
        ),
    ).noting(*notes)


def _split(usage: Usage, facts: Facts) -> Usage:
    allowance = EXACT.add(usage.fact.terms.included_free, usage.rollover)
    quantity = max(usage.measured, ZERO)
    free = min(quantity, allowance)
    allowed = quantity if usage.cap is None else min(quantity, usage.cap)
    split = replace(
        usage,
        allowance=allowance,
        free=free,
        capped=EXACT.subtract(quantity, allowed),
        billable=EXACT.subtract(allowed, free),
    )
    return replace(split, granted=_granted(split, facts))


def _granted(usage: Usage, facts: Facts) -> Decimal:
    """What is left of this period's own included units, as far as the cap lets it live on.

    The cap is on all that is carried over together: what older grants still hold comes first.
    """
    fact = usage.fact
    if fact.expires_at is None:
        return ZERO
    own = EXACT.subtract(usage.free, min(usage.free, usage.rollover))
    left = EXACT.subtract(fact.terms.included_free, own)
    if fact.rollover_cap is None:
        return left
    return max(ZERO, min(left, EXACT.subtract(fact.rollover_cap, _still_held(usage, facts))))


def _still_held(usage: Usage, facts: Facts) -> Decimal:
    used = {grant.grant_id: taken for grant, taken in units_by_grant(usage)}
    held = ZERO
    for grant in usage.fact.grants:
        if grant.expires_at > facts.period_end:
            rest = EXACT.subtract(grant.units, used.get(grant.grant_id, ZERO))
            held = EXACT.add(held, rest)
    return held


def _passed_on(usage: Usage, facts: Facts) -> Decimal:
    """What later periods may use, and late usage of this one therefore may not."""
    if not usage.fact.goes_on:
        return usage.granted
    unspent = EXACT.subtract(usage.rollover, min(usage.free, usage.rollover))
    return EXACT.add(usage.granted, min(unspent, _still_held(usage, facts)))


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
        if rest and grant.expires_at <= facts.period_end:
            since = f"{grant.period_start:%Y-%m-%d}"
            yield f"{name}: {plain(rest)} units rolled over from {since} have expired"
