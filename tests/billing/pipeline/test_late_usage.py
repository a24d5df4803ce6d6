"""Late usage is priced by difference, and no invoice falls below zero for it."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.money import exact, round_to_minor
from billing.pipeline import EarlierFact, LateFact, run
from catalog.pricing import Usage, parse_terms
from tests.billing.pipeline.build import facts, plan, shown, usage_fact

TIERS = {
    "model": "VOLUME_TIERED",
    "tiers": [{"tierEnd": 10, "unitPrice": "1"}, {"tierEnd": -1, "unitPrice": "0.5"}],
}
PER_UNIT = {"model": "PER_UNIT", "rate": "1"}


def late(before, after, terms=PER_UNIT, *, of=1, number=1, month=3):
    return LateFact(
        running_total_id=number,
        version_id=UUID(int=of),
        plan_name=f"Plan {of}",
        unit_id=UUID(int=100 + number),
        unit_name="calls",
        unit_label="",
        dimension="",
        period_start=datetime(2024, month, 1, tzinfo=UTC),
        period_end=datetime(2024, month + 1, 1, tzinfo=UTC),
        before=Usage(Decimal(before)),
        after=Usage(Decimal(after)),
        first_position=2,
        last_position=2,
        digest=b"",
        revenue=Decimal(0),
        terms=parse_terms(terms),
    )


def invoiced(*plans, **more):
    return run(facts(*plans, **more)).draft


def test_a_line_is_what_all_costs_less_what_was_billed():
    draft = invoiced(late=(late(9, 11, TIERS), late(5, 8, number=2)), usage=(usage_fact("900"),))
    assert shown(draft) == [
        ("Plan 1: calls", "9.00 USD"),
        ("Plan 1: calls, adjustment", "3.00 USD"),
        ("Plan 1: calls, adjustment", "-3.50 USD"),
    ]
    assert draft.total() == Decimal("8.50")


def test_it_pays_no_minimum_of_another_period():
    draft = invoiced(plan(minimum_spend=20), late=(late(0, 15),))
    assert draft.total() == 35


def test_percentages_hold_for_it_and_fixed_discounts_do_not():
    pro = plan(base_fee=4, discount_percent=50, discount_amount=10)
    assert invoiced(pro).total() == 0
    assert invoiced(pro, late=(late(0, 8),)).total() == 4


@pytest.mark.parametrize(
    ("terms", "billed", "waits"),
    [
        ({}, 0, True),
        ({"base_fee": 7}, 0, False),
        ({"base_fee": "6.99"}, "6.99", True),
        ({"minimum_spend": 9}, 2, False),  # the true-up is room too
        ({"base_fee": 9, "discount_amount": 2}, 0, False),
        ({"base_fee": 9, "discount_amount": 3}, 6, True),  # or it would eat into the discount
        ({"base_fee": 11, "discount_amount": 2, "discount_percent": 50}, 0, False),
        ({"base_fee": 10, "discount_amount": 2, "discount_percent": 50}, 3, True),
    ],
)
def test_a_credit_is_taken_where_there_is_room_for_it(terms, billed, waits):
    draft = invoiced(plan(**terms), late=(late(8, 1),))
    assert (draft.total(), draft.deferred) == (Decimal(billed), (1,) if waits else ())


def test_a_credit_takes_nothing_from_the_lines_of_another_plan():
    other = plan(2, base_fee=100, discount_percent=50)
    draft = invoiced(plan(), other, late=(late(8, 1),))
    assert (draft.total(), draft.deferred) == (50, (1,))


def test_what_adds_makes_room_for_what_takes_away():
    draft = invoiced(late=(late(8, 1, month=1), late(0, 7, number=2, month=2)))
    assert (draft.total(), draft.deferred) == (0, ())


levels = st.decimals(min_value=0, max_value=1000, places=3)
spans = st.lists(st.tuples(levels, levels, st.sampled_from([TIERS, PER_UNIT])), max_size=5)
amounts = st.decimals(min_value=0, max_value=500, places=2)


@given(spans, amounts, amounts, amounts, st.integers(min_value=0, max_value=100))
def test_no_invoice_is_below_zero_and_nothing_is_forgotten(spans, fee, minimum, fixed, percent):
    given_facts = facts(
        plan(
            base_fee=fee,
            minimum_spend=minimum,
            discount_amount=fixed,
            discount_percent=percent,
        ),
        late=[
            late(before, after, terms, number=number)
            for number, (before, after, terms) in enumerate(spans, start=1)
        ],
    )
    draft = run(given_facts).draft
    assert draft.total() >= 0
    billed = [line.late for line in draft.lines if line.late is not None]
    done = {fact.running_total_id for fact in billed} | set(draft.deferred)
    assert done == {fact.running_total_id for fact in given_facts.late}
    for line in draft.lines:
        if line.late is not None:
            exact_amount = line.late.terms.marginal(line.late.before, line.late.after)
            assert line.exact_amount == exact_amount
            assert line.amount.amount == round_to_minor(exact_amount, "USD")
            with exact():
                assert sum(charge.amount for charge in line.charges) == exact_amount


def test_a_credit_waits_where_all_was_asked_for_already():
    """What invoices of usage so far asked for is taken off last, and could not wait."""
    asked = (EarlierFact(UUID(int=9), "INV-7", Decimal(20)),)
    draft = invoiced(
        usage=(usage_fact("25", PER_UNIT),), earlier=asked, late=(late(9, 0, number=7),)
    )
    assert (draft.deferred, draft.total()) == ((7,), 5)
    smaller = invoiced(usage=(usage_fact("25", PER_UNIT),), earlier=asked, late=(late(5, 0),))
    assert (smaller.deferred, smaller.total()) == ((), 0)
