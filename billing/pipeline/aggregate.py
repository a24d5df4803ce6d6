"""Aggregate: how much was used, as the running totals stood when they were locked."""

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

from billing.pipeline.draft import Draft
from billing.pipeline.facts import Facts, UsageFact
from billing.pipeline.lines import label


def aggregate_usage(draft: Draft, facts: Facts) -> Draft:
    """Take every quantity from its running total, one usage per total.

    Raises ValueError for a total of a plan that the period does not have, and for two totals of the
    same plan, unit and dimension: the allowance would be given to both.
    """
    if not draft.usage:
        return draft
    _refuse_strangers(facts)
    _refuse_twins(facts)
    usage = tuple(
        replace(
            usage,
            quantity=usage.fact.quantity,
            measured=usage.fact.terms.measured(usage.fact.quantity),
        )
        for usage in draft.usage
    )
    notes = (
        f"{label(fact, facts)}: {fact.event_count} events up to position {fact.position}"
        for fact in facts.usage
        if fact.event_count
    )
    return replace(draft, usage=usage).noting(*notes)


def _refuse_strangers(facts: Facts) -> None:
    plans = {plan.version_id for plan in facts.plans}
    for fact in facts.usage:
        if fact.version_id not in plans:
            raise ValueError(f"running total {fact.running_total_id} is of no plan of this period")


def _refuse_twins(facts: Facts) -> None:
    for one, next_one in pairwise(facts.usage):  # sorted, so that twins are neighbours
        if _identity(one) == _identity(next_one):
            raise ValueError(
                f"running totals {one.running_total_id} and {next_one.running_total_id} "
                f"both count {label(one, facts)}"
            )


def _identity(fact: UsageFact) -> tuple[UUID, UUID, str]:
    return fact.version_id, fact.unit_id, fact.dimension
