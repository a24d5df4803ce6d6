"""Rollover: included units that earlier periods left over, the oldest used first."""

from dataclasses import replace

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Draft, Usage
from billing.pipeline.facts import Facts
from billing.pipeline.lines import label


def add_rollover(draft: Draft, facts: Facts) -> Draft:
    """Add what was carried over to the allowance to come, and to a hard cap.

    As many units as events were priced with: the invoice says what they said.
    """
    if not any(_rolls_over(usage) for usage in draft.usage):
        return draft.noting("no rollover terms on this plan")
    carried = tuple(_carrying(usage) for usage in draft.usage)
    notes = (
        f"{label(usage.fact, facts)}: {plain(grant.units)} units of {grant.period_start:%Y-%m-%d},"
        f" until {grant.expires_at:%Y-%m-%d}"
        for usage in carried
        for grant in usage.fact.grants
    )
    return replace(draft, usage=carried).noting(*notes)


def _rolls_over(usage: Usage) -> bool:
    fact = usage.fact
    return bool(fact.rollover or fact.grants) or fact.expires_at is not None


def _carrying(usage: Usage) -> Usage:
    rollover = usage.fact.rollover
    if rollover <= ZERO:
        return usage
    cap = None if usage.cap is None else EXACT.add(usage.cap, rollover)
    return replace(usage, rollover=rollover, cap=cap)
