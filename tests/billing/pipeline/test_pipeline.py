"""The ten stages together: what holds for every invoice."""

import json
import pickle
from dataclasses import replace
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given as holds_for
from hypothesis import strategies as st

from aforo.money import EXACT, ZERO, exact, minor_units
from billing.pipeline import STAGES, LineType, StageFailed, run
from billing.pipeline.commitments import commitments_in
from tests.billing.pipeline.build import (
    BLOCK,
    facts,
    opened,
    plan,
    shown,
    usage_fact,
    without_notes,
)
from tests.billing.pipeline.strategies import any_facts

NAMES = [
    "QuotaCheck", "Rollover", "Aggregate", "Allowance", "Rate",
    "Commit", "Discount", "Tax", "Route", "Settle",
]  # fmt: skip


ASKED = [one for one in LineType if one not in {LineType.DISCOUNT, LineType.TAX_ADJUSTMENT}]


def as_bytes(result):
    records = [record.as_dict() | {"microseconds": None} for record in result.records]
    return json.dumps(records).encode() + repr(result.draft).encode()


def test_the_ten_stages_stand_in_their_order():
    assert [name for name, _ in STAGES] == NAMES
    assert [record.stage for record in run(facts()).records] == NAMES


def test_each_record_tells_what_came_in_what_went_out_and_how_long():
    given = facts(
        plan(base_fee=49, minimum_spend=60, discount_percent=10),
        usage=[usage_fact("1200", BLOCK), usage_fact("250.50", unit="tokens", number=2)],
    )
    records = run(given, clock=count(step=2500).__next__).records
    used = {"unit": "Plan 1: calls", "cap": "1000", "quantity": "1200"}
    tokens = {"unit": "Plan 1: tokens", "quantity": "250.5"}
    empty = {"lines": 0, "total": "0"}
    split = [used | {"free": "1000", "capped": "200"}, tokens | {"billable": "250.5"}]
    by_name = {record.stage: record.as_dict() for record in records}
    assert by_name["QuotaCheck"] == {
        "stage": "QuotaCheck",
        "before": empty,
        "after": empty | {"usage": [{"unit": "Plan 1: calls", "cap": "1000"}]},
        "notes": ["Plan 1: calls: hard cap at 1000"],
        "microseconds": 2,
    }
    assert by_name["Aggregate"]["after"] == empty | {"usage": [used, tokens]}
    assert by_name["Rate"]["before"] == empty | {"usage": split}
    assert by_name["Rate"]["after"] == {"lines": 3, "total": "51.5"}
    assert by_name["Commit"]["after"] == {"lines": 4, "total": "60"}
    assert by_name["Discount"]["after"] == {"lines": 5, "total": "54"}
    assert by_name["Settle"]["after"] == {
        "lines": 5, "total": "54", "toInvoice": "54", "finalize": True
    }  # fmt: skip


def test_what_comes_out_of_a_stage_goes_into_the_next():
    records = run(facts(plan(base_fee=5), usage=[usage_fact("5", BLOCK)])).records
    assert [record.after for record in records[:-1]] == [record.before for record in records[1:]]


def test_no_usage_and_no_fee_make_an_empty_invoice():
    result = run(facts())
    assert (result.draft.lines, result.draft.to_invoice) == ((), ZERO)


def test_a_priced_unit_without_events_has_its_line():
    assert shown(run(facts(usage=[usage_fact("0")])).draft) == [("Plan 1: calls", "0.00 USD")]


@pytest.mark.parametrize(
    ("fields", "stage"),
    [
        ({"billing_mode": "PREPAID"}, "Route"),
        ({"usage": [usage_fact("1", of=9)]}, "Aggregate"),
        ({"currency": "XAU", "usage": [usage_fact("1")]}, "Rate"),
    ],
)
def test_a_failure_names_its_stage(fields, stage):
    with pytest.raises(StageFailed) as failed:
        run(facts(**fields))
    assert failed.value.stage == stage
    assert isinstance(failed.value.cause, ValueError)
    assert str(failed.value) == f"{stage}: {failed.value.cause}"


def test_a_failure_survives_the_way_between_processes():
    failed = pickle.loads(pickle.dumps(StageFailed("Rate", ValueError("no"))))
    assert (failed.stage, str(failed)) == ("Rate", "Rate: no")


@holds_for(any_facts())
def test_the_total_is_the_sum_of_its_lines(given):
    draft = run(given).draft
    total = ZERO
    for line in draft.lines:
        total = EXACT.add(total, line.amount.amount)
    assert draft.to_invoice == draft.total() == total
    assert total >= ZERO


@holds_for(any_facts())
def test_discounts_are_at_most_the_subtotal(given):
    draft = run(given).draft
    subtotal = draft.total(*ASKED)
    assert ZERO <= EXACT.minus(draft.total(LineType.DISCOUNT)) <= subtotal
    assert draft.total() == EXACT.add(subtotal, draft.total(LineType.DISCOUNT))


@holds_for(any_facts())
def test_rounding_moves_each_line_by_half_a_minor_unit_at_most(given):
    half = Decimal("0.5").scaleb(-minor_units(given.currency))
    for line in run(given).draft.lines:
        moved = EXACT.subtract(line.amount.amount, line.exact_amount)
        assert EXACT.abs(moved) <= half


def bare(given):
    """The same facts of plans that ask for nothing, and of nothing else."""
    plans = tuple(plan(number, name=one.name) for number, one in enumerate(given.plans, start=1))
    return facts(*plans, currency=given.currency, seconds=given.seconds)


@holds_for(any_facts())
def test_a_stage_that_does_not_apply_changes_nothing(given):
    given = bare(given)
    for _, stage in STAGES[:-2]:
        assert without_notes(stage(opened(given), given)) == opened(given)


@holds_for(any_facts())
def test_commitment_and_discount_that_are_not_there_change_no_line(given):
    given = replace(bare(given), usage=given.usage)
    assert {line.stage for line in run(given).draft.lines} <= {"Rate"}


@holds_for(any_facts())
def test_quantities_are_split_and_nothing_is_used_twice(given):
    draft = run(given).draft
    used, granted = dict(draft.used), dict(draft.granted)
    for usage in draft.usage:
        fact = usage.fact
        with exact():
            assert usage.free + usage.billable + usage.capped == max(usage.measured, ZERO)
            assert usage.free <= fact.terms.included_free + fact.rollover
            left = granted.get(fact.running_total_id, ZERO)
            own = usage.free - min(usage.free, fact.rollover)
            assert ZERO <= left <= fact.terms.included_free - own
            assert all(used.get(one.grant_id, ZERO) <= one.units for one in fact.grants)
            taken = sum((used.get(one.grant_id, ZERO) for one in fact.grants), ZERO)
            assert taken == min(usage.free, fact.rollover)


@holds_for(any_facts())
def test_what_lives_on_is_within_the_cap(given):
    draft = run(given).draft
    used, granted = dict(draft.used), dict(draft.granted)
    for fact in given.usage:
        left = granted.get(fact.running_total_id, ZERO)
        if left and fact.rollover_cap is not None:
            with exact():
                older = sum(
                    (
                        one.units - used.get(one.grant_id, ZERO)
                        for one in fact.grants
                        if one.expires_at > given.period_end
                    ),
                    ZERO,
                )
                assert left + older <= fact.rollover_cap


@holds_for(any_facts())
def test_minimum_and_maximum_hold(given):
    """Of plans and of the contract's period; the maximum of a term goes before the latter."""
    given = replace(given, contract=without_term(given.contract))
    half = Decimal("0.5").scaleb(-minor_units(given.currency))
    lines = [line for line in run(given).draft.lines if line.stage in {"Rate", "Commit"}]
    draft = replace(opened(given), lines=tuple(lines))
    for commitment in commitments_in(given):
        spent = commitment.spent(draft)
        assert spent >= EXACT.subtract(commitment.minimum, half)
        if commitment.maximum is not None:
            limit = EXACT.add(max(commitment.maximum, commitment.floor), half)
            room = min(draft.total(), draft.total(version_id=commitment.version_id))
            assert spent <= limit or room <= ZERO


def without_term(agreed):
    if agreed is None:
        return None
    return replace(agreed, term_minimum=ZERO, term_maximum=None)


@holds_for(any_facts())
def test_coupons_are_redeemed_for_what_their_lines_take_off(given):
    draft = run(given).draft
    taken = [
        EXACT.minus(line.amount.amount)
        for line in draft.lines
        if line.description.startswith("coupon ")
    ]
    assert [amount for _, amount in draft.redeemed] == taken
    order = [one.redemption_id for one in given.coupons]
    redeemed = [redemption_id for redemption_id, _ in draft.redeemed]
    assert redeemed == [one for one in order if one in redeemed]


@holds_for(any_facts())
def test_each_total_with_events_has_one_line(given):
    lines = [line.fact.running_total_id for line in run(given).draft.lines if line.fact]
    assert len(lines) == len(set(lines))
    used = {fact.running_total_id for fact in given.usage if fact.position}
    assert used <= set(lines)


@holds_for(any_facts())
def test_every_line_names_a_stage_and_fits_its_column(given):
    for line in run(given).draft.lines:
        assert line.stage in NAMES
        assert len(line.description) <= 400


@holds_for(any_facts(), st.randoms(use_true_random=False))
def test_the_order_of_facts_gives_the_same_bytes(given, random):
    plans, usage = list(given.plans), list(given.usage)
    random.shuffle(plans)
    random.shuffle(usage)
    shuffled = replace(given, plans=tuple(plans), usage=tuple(usage))
    assert shuffled == given
    assert as_bytes(run(shuffled)) == as_bytes(run(given))
