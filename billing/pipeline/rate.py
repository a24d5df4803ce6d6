"""Rate: what plans and usage cost, line by line, each with the charges that explain it."""

from collections.abc import Iterator
from dataclasses import replace

from aforo.money import ZERO
from billing.pipeline.draft import Draft, Line, LineType, Usage
from billing.pipeline.facts import Facts, PlanFact
from billing.pipeline.late_usage import add_late_usage
from billing.pipeline.lines import plan_line, prorated, proration_clause, unit_subject
from catalog import pricing
from catalog.pricing import Charge, Terms


def rate_usage(draft: Draft, facts: Facts) -> Draft:
    """Add each plan's base fee, one line per usage, also of a unit without events, then late usage.

    A usage line before rounding is `prorated terms.charge(gross quantity)`, which is what its
    events were priced at when they arrived, and `charge(0)`.
    """
    return add_late_usage(draft.adding(*_lines(draft, facts)), facts)


def _lines(draft: Draft, facts: Facts) -> Iterator[Line]:
    for plan in facts.plans:
        if plan.base_fee:
            yield _base_fee(plan, facts)
        for usage in draft.usage:
            if usage.fact.version_id == plan.version_id:
                yield _usage_fee(usage, plan, facts)


def _base_fee(plan: PlanFact, facts: Facts) -> Line:
    return plan_line(
        plan,
        facts,
        stage="Rate",
        line_type=LineType.CHARGE,
        subject=f"base fee{proration_clause(facts)}",
        exact_amount=prorated(plan.base_fee, facts),
    )


def _usage_fee(usage: Usage, plan: PlanFact, facts: Facts) -> Line:
    fact = usage.fact
    terms = _terms_of_period(fact.terms, facts)
    billable = pricing.Usage(usage.billable, fact.event_count)
    clause = "" if terms == fact.terms else proration_clause(facts)
    net_terms = terms.without_allowance()
    line = plan_line(
        plan,
        facts,
        stage="Rate",
        line_type=LineType.USAGE_FEE,
        subject=f"{unit_subject(fact)}{clause}",
        exact_amount=net_terms.charge(billable),
    )
    charges = (*_free(usage), *net_terms.charges(billable), *_capped(usage))
    return replace(line, unit_id=fact.unit_id, quantity=usage.quantity, charges=charges, fact=fact)


def _terms_of_period(terms: Terms, facts: Facts) -> Terms:
    """Terms whose once-per-period money is scaled to the period: of FLAT_RATE, the flat rate."""
    return terms.prorated(facts.seconds, facts.whole_seconds) if facts.is_partial else terms


def _free(usage: Usage) -> Iterator[Charge]:
    if usage.free:
        label = "included and rolled over" if usage.rollover else "included"
        yield Charge.of(label, usage.free, ZERO)


def _capped(usage: Usage) -> Iterator[Charge]:
    if usage.capped:
        yield Charge.of("beyond the hard cap, not billable", usage.capped, ZERO)
