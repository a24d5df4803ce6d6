"""Rate: what plans and usage cost, line by line, each with the charges that explain it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

from aforo.money import ZERO
from billing.pipeline.draft import Draft, Line, LineType, Usage
from billing.pipeline.explained import charges_of
from billing.pipeline.facts import Facts, PlanFact, UsageFact
from billing.pipeline.fees import credit_unused_fees, fees_in_advance, fees_of
from billing.pipeline.late_usage import add_late_charges, add_late_credits
from billing.pipeline.lines import plan_line, unit_subject
from catalog import pricing
from catalog.pricing import Terms

Priced = tuple[UUID, UUID]  # plan version, unit


def rate_usage(draft: Draft, facts: Facts) -> Draft:
    """Add fees, one line per usage, fees in advance, then late usage; what adds before credits.

    A usage line before rounding is `terms.charge(gross quantity)`, by the terms it names: what its
    events were priced at when they arrived, and `charge(0)`. A unit without events has a line; one
    whose usage is split by dimensions has one per dimension.
    """
    draft = draft.adding(*_lines(draft, facts), *fees_in_advance(facts))
    draft = credit_unused_fees(add_late_charges(draft, facts), facts)
    return add_late_credits(draft, facts)


def _lines(draft: Draft, facts: Facts) -> Iterator[Line]:
    counted = Counter(_priced(usage.fact) for usage in draft.usage)
    for plan in facts.plans:
        yield from fees_of(plan, facts)
        for usage in draft.usage:
            if usage.fact.version_id == plan.version_id and not _stands_aside(usage.fact, counted):
                yield _usage_fee(usage, plan, facts)


def _stands_aside(fact: UsageFact, counted: Counter[Priced]) -> bool:
    """Whether it is the total of no dimension, which no event is in, beside those of some."""
    return not fact.dimension and not fact.position and counted[_priced(fact)] > 1


def _priced(fact: UsageFact) -> Priced:
    return fact.version_id, fact.unit_id


def _usage_fee(usage: Usage, plan: PlanFact, facts: Facts) -> Line:
    fact = usage.fact
    terms = _terms_of_line(usage, plan, facts)
    gross = pricing.Usage(usage.quantity, fact.event_count, fact.parts)
    line = plan_line(
        plan,
        facts,
        stage="Rate",
        line_type=LineType.USAGE_FEE,
        subject=f"{unit_subject(fact)}{_clause(terms, usage, plan, facts)}",
        exact_amount=terms.charge(gross),
    )
    return replace(
        line,
        unit_id=fact.unit_id,
        quantity=usage.quantity,
        charges=charges_of(usage, terms),
        fact=fact,
        terms=terms,
        tax_code=fact.tax_code or plan.tax_code,
    )


def _terms_of_line(usage: Usage, plan: PlanFact, facts: Facts) -> Terms:
    """Terms of gross usage: with what was carried over, once-per-period money scaled.

    Of FLAT_RATE, that is the flat rate: nothing of it is due where it was paid in advance.
    """
    terms = usage.fact.terms
    if usage.rollover:
        terms = terms.with_allowance(usage.allowance)
    share = facts.share(by_days=plan.by_days)
    if usage.fact.is_paid:
        return terms.prorated(ZERO, share.whole)
    return terms if share.part == share.whole else terms.prorated(share.part, share.whole)


def _clause(terms: Terms, usage: Usage, plan: PlanFact, facts: Facts) -> str:
    if usage.fact.is_paid:
        return ", paid in advance"
    if terms.without_allowance() == usage.fact.terms.without_allowance():
        return ""
    return facts.share(by_days=plan.by_days).clause
