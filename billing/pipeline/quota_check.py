"""QuotaCheck: which units have a hard cap, beyond which nothing may be billed."""

from dataclasses import replace

from aforo.money import EXACT, plain
from billing.pipeline.draft import Draft, Usage
from billing.pipeline.facts import Facts
from billing.pipeline.lines import label


def check_quota(draft: Draft, facts: Facts) -> Draft:
    """Record the cap of every unit that has one: its included units and its rollover.

    Only recorded here; the Allowance stage applies it, when the quantity is known.
    """
    if not any(usage.fact.terms.has_hard_limit for usage in draft.usage):
        return draft
    capped = tuple(_with_cap(usage) for usage in draft.usage)
    notes = (
        f"{label(usage.fact, facts)}: hard cap at {plain(usage.cap)}"
        for usage in capped
        if usage.cap is not None
    )
    return replace(draft, usage=capped).noting(*notes)


def _with_cap(usage: Usage) -> Usage:
    if not usage.fact.terms.has_hard_limit:
        return usage
    return replace(usage, cap=EXACT.add(usage.fact.terms.included_free, usage.rollover))
