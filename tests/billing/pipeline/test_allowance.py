"""Allowance: free, capped and billable units."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given as holds_for
from hypothesis import strategies as st

from aforo.money import EXACT, ZERO
from billing.pipeline.aggregate import aggregate_usage
from billing.pipeline.allowance import subtract_allowance
from billing.pipeline.quota_check import check_quota
from billing.pipeline.rollover import add_rollover
from catalog.pricing import Usage
from tests.billing.pipeline.build import BLOCK, PER_UNIT, facts, opened, usage_fact, without_notes
from tests.billing.pipeline.strategies import any_facts
from tests.catalog.pricing.strategies import quantities, terms_of

FREE = PER_UNIT | {"includedFree": 1000}
NOTE = "Plan 1: calls: "


def split(quantity, terms, rollover="0"):
    given = facts(usage=[usage_fact(quantity, terms)])
    draft = opened(given)
    draft = replace(draft, usage=(replace(draft.usage[0], rollover=Decimal(rollover)),))
    aggregated = aggregate_usage(check_quota(draft, given), given)
    return subtract_allowance(without_notes(aggregated), given)


@pytest.mark.parametrize(
    ("quantity", "terms", "rollover", "free_capped_billable"),
    [
        ("500", PER_UNIT, "0", ("0", "0", "500")),
        ("0", FREE, "0", ("0", "0", "0")),
        ("999.5", FREE, "0", ("999.5", "0", "0")),
        ("1000", FREE, "0", ("1000", "0", "0")),
        ("1000.000000000001", FREE, "0", ("1000", "0", "0.000000000001")),
        ("1200", FREE, "150", ("1150", "0", "50")),
        ("1000", BLOCK, "0", ("1000", "0", "0")),
        ("1200", BLOCK, "0", ("1000", "200", "0")),
        ("1200", BLOCK, "150", ("1150", "50", "0")),
        ("-5", FREE, "0", ("0", "0", "0")),
    ],
)
def test_units_are_free_capped_or_billable(quantity, terms, rollover, free_capped_billable):
    (usage,) = split(quantity, terms, rollover).usage
    assert (usage.free, usage.capped, usage.billable) == tuple(map(Decimal, free_capped_billable))


@pytest.mark.parametrize(
    ("quantity", "terms", "notes"),
    [
        ("500", PER_UNIT, ()),
        ("1200", FREE, ("1000 of 1000 free units used",)),
        ("1200", BLOCK, ("1000 of 1000 free units used", "200 beyond the hard cap, not billable")),
    ],
)
def test_free_units_and_those_beyond_the_cap_are_noted(quantity, terms, notes):
    assert split(quantity, terms).notes == tuple(NOTE + note for note in notes)


@holds_for(quantities, terms_of())
def test_every_unit_is_free_capped_or_billable(quantity, terms):
    fact = replace(usage_fact(), quantity=quantity, terms=terms)
    given = facts(usage=[fact])
    draft = aggregate_usage(check_quota(opened(given), given), given)
    (usage,) = subtract_allowance(draft, given).usage
    assert min(usage.free, usage.capped, usage.billable) >= ZERO
    assert EXACT.add(EXACT.add(usage.free, usage.capped), usage.billable) == quantity
    assert usage.free <= terms.included_free


@holds_for(any_facts(), st.booleans())
def test_what_is_passed_on_is_not_used_and_changes_no_price(given, goes_on):
    given = replace(given, usage=tuple(replace(one, goes_on=goes_on) for one in given.usage))
    rolled = add_rollover(check_quota(opened(given), given), given)
    draft = subtract_allowance(aggregate_usage(rolled, given), given)
    passed_on = dict(draft.passed_on)
    for usage in draft.usage:
        units = passed_on.get(usage.fact.running_total_id, ZERO)
        assert ZERO <= usage.granted <= units <= EXACT.subtract(usage.allowance, usage.free)
        if units:
            counted = Usage(usage.quantity, usage.fact.event_count, usage.fact.parts)
            before = usage.fact.terms.with_allowance(usage.allowance)
            after = before.with_allowance(EXACT.subtract(usage.allowance, units))
            assert after.charge(counted) == before.charge(counted)
            assert after.charge(Usage(ZERO)) == before.charge(Usage(ZERO))
