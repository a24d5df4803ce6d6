"""What can wait leaves room for what would be lost: all that there is room for is given back."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aforo.money import EXACT
from billing.pipeline import STAGES, EarlierFact, LineType, PaidFact, Share, late_usage, room, run
from billing.pipeline import fees as fees_of_rate
from tests.billing.pipeline.build import (
    advance,
    contract,
    coupon,
    facts,
    fee,
    opened,
    paid,
    plan,
    shown,
    usage_fact,
)
from tests.billing.pipeline.test_late_usage import late

ONE = {"model": "PER_UNIT", "rate": "1"}
CENT = Decimal("0.01")
cents = st.integers(0, 10_000).map(lambda number: Decimal(number).scaleb(-2))
percents = st.sampled_from([0, 10, Decimal("33.3"), 50, 75, 100])
fixed = st.sampled_from([0, 0, 3, 20])
spans = st.sampled_from([{}, {"of_next": False}, {"of_period": False}])
before = (datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))


def refund(amount, *, of=1, percent=0, unused=30, **fields):
    """So many of 30 days of a fee that was asked for, less its plan's percentage."""
    dear = replace(fee(amount, of=of), discount_percent=Decimal(percent))
    share = Share(Decimal(unused), Decimal(30), "days")
    return PaidFact(dear, Decimal(amount), share, **fields)


def used(quantity, **fields):
    return usage_fact(str(quantity), ONE, **fields)


def given_back(draft):
    return -draft.total(LineType.PRORATION)


@pytest.mark.parametrize(("usage", "gross", "total"), [(20, 40, 0), (40, 60, 10), (60, 60, 30)])
def test_only_what_was_asked_for_needs_room(usage, gross, total):
    """60.00 unused of a fee of 62.00, of which half was asked for."""
    one = replace(paid("62", "30", whole="31"), taken_off=Decimal(31))
    draft = run(facts(plan(in_advance=True), usage=[used(usage)], paid=(one,))).draft
    assert (given_back(draft), draft.total()) == (gross, total)


def test_one_refund_leaves_the_room_of_what_was_taken_off_another():
    """10.00 of 20.00, then 30.00 of 30.00, off 40.00."""
    first, second = refund("20", taken_off=Decimal(10)), refund("30", of=2)
    plans = plan(1, in_advance=True), plan(2, in_advance=True)
    draft = run(facts(*plans, usage=[used(40)], paid=(first, second))).draft
    assert (given_back(draft), draft.total()) == (50, 0)


def test_a_fixed_discount_of_a_plan_is_not_lost_to_what_its_lines_give_back():
    """5.00 of usage are free; 20.00 come off what another plan asks for."""
    plans = plan(1, in_advance=True, discount_amount=5), plan(2, base_fee=100)
    draft = run(facts(*plans, usage=[used(5)], paid=(refund("20"),))).draft
    assert shown(draft)[-1] == ("Plan 1: discount", "-5.00 USD")
    assert draft.total() == 80


@pytest.mark.parametrize("is_first", [True, False])
def test_a_coupon_for_the_next_fee_alone_takes_no_room_of_a_credit(is_first):
    """5.00 are taken back of 10.00, and 5.00 are free; half of a next fee of 8.00 is."""
    half = replace(coupon(1, percent=50), of_period=False)
    coupons = (half, coupon(2, amount=5)) if is_first else (coupon(2, amount=5), half)
    given = facts(usage=[used(10)], late=(late(5, 0, number=7),), coupons=coupons)
    assert (run(given).draft.deferred, run(given).draft.total()) == ((), 0)
    ahead = replace(given, advance=advance(fee("8", of=3)), coming=(plan(3),))
    assert (run(ahead).draft.deferred, run(ahead).draft.total()) == ((), 4)


def test_nothing_is_reserved_for_what_is_lost_anyway():
    """A discount of 20.00 on a plan of 4.00, which another percentage leaves nothing of."""
    plans = plan(1, base_fee=4, discount_amount=20), plan(2, base_fee=30, discount_percent=100)
    draft = run(facts(*plans, plan(3, base_fee=7), unreturned=(refund("9", covers=before),))).draft
    assert (given_back(draft), draft.total()) == (7, 0)


@st.composite
def worlds(draw):
    """Plans, usage, next fees, commitments, discounts, refunds, late and earlier usage."""
    own, other, next_one = draw(percents), draw(percents), draw(percents)
    amount = draw(cents) + 1
    net = amount * (100 - Decimal(own)) / 100
    fields = {"percent": own, "unused": draw(st.integers(1, 30))}
    off = net * draw(st.sampled_from([0, 0, Decimal("0.5"), 1]))
    back = refund(amount, **fields, taken_off=off)
    former = draw(percents)
    old = refund(draw(cents) + 1, of=4, percent=former, covers=before)
    coupons = [
        replace(coupon(number, percent=draw(percents)), **draw(spans))
        if draw(st.booleans())
        else coupon(number, amount=draw(fixed))
        for number in range(draw(st.integers(0, 2)))
    ]
    spends = {"minimum_spend": draw(fixed), "maximum_spend": draw(st.sampled_from([None, 60]))}
    return facts(
        plan(1, discount_percent=own, discount_amount=draw(fixed), in_advance=True, **spends),
        plan(2, base_fee=draw(cents), discount_percent=other, discount_amount=draw(fixed)),
        usage=[used(draw(cents))],
        advance=draw(st.none() | cents.map(lambda dear: advance(fee(dear, of=3)))),
        coming=(plan(3, discount_percent=next_one),),
        contract=draw(
            st.none()
            | st.builds(
                contract,
                discount_percent=percents,
                discount_amount=fixed,
                maximum_spend=st.sampled_from([None, 50]),
            )
        ),
        coupons=tuple(coupons),
        paid=draw(st.sampled_from([(), (back,)])),
        unreturned=draw(st.sampled_from([(), (old,)])),
        late=[
            replace(
                late(draw(cents), draw(cents), of=of, number=number),
                discount_percent=Decimal({1: own, 4: former}[of]),
            )
            for number, of in enumerate(draw(st.lists(st.sampled_from([1, 4]), max_size=2)), 5)
        ],
        earlier=draw(st.sampled_from([(), (EarlierFact(UUID(int=9), "INV-7", Decimal(10)),)])),
    )


def rated(world):
    """The lines of the Rate stage: those that ask, and those that give back or take back."""
    draft = opened(world)
    for _, stage in STAGES[:5]:
        draft = stage(draft, world)
    lines = [line for line in draft.lines if line.type is LineType.PRORATION or is_credit(line)]
    asking = replace(draft, lines=tuple(line for line in draft.lines if line not in lines))
    return asking, lines, draft.deferred


def is_credit(line):
    return line.late is not None and line.amount.amount < 0


def discounted(draft, world):
    for _, stage in STAGES[5:7]:
        draft = stage(draft, world)
    return draft


def fixed_in(draft):
    """By name, what amounts, and credits for what was asked for before, take off."""
    return {
        line.description: line.amount.amount
        for line in draft.lines
        if line.stage == "Discount" and line.amount.amount < 0 and line.description[-1] != "%"
    }


def is_worse(draft, kept):
    """Whether it is below zero, or grants less of what is fixed than the other one."""
    after = fixed_in(draft)
    lost = [after.get(name, 0) > off for name, off in fixed_in(kept).items()]
    return draft.total() < 0 or any(lost)


def unused(one, world, amount):
    return fees_of_rate._unused_line(one, world, amount)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_all_that_has_room_is_given_back_and_no_more(world):
    draft, lines, _ = rated(world)
    for one in (*world.unreturned, *world.paid):
        kept = discounted(draft, world)
        found = [line for line in lines if line.type is LineType.PRORATION]
        line = next((line for line in found if line.version_id == one.fee.version_id), None)
        granted = Decimal(0) if line is None else -line.amount.amount
        if line is not None:
            given_with = discounted(draft.adding(line), world)
            assert not is_worse(given_with, kept)
            asked = EXACT.multiply(granted, one.asked) / one.amount
            assert kept.total() - given_with.total() <= asked + Decimal("0.03")
        wanted = one.unused.of(one.amount)
        assert granted <= wanted + CENT
        if one.asked and granted + CENT <= wanted:
            more = discounted(draft.adding(unused(one, world, granted + CENT)), world)
            assert is_worse(more, kept) or more.lost != kept.lost  # a percentage, a maximum
        draft = draft if line is None else draft.adding(line)
    for line in filter(is_credit, lines):
        kept, draft = discounted(draft, world), draft.adding(line)
        assert not is_worse(discounted(draft, world), kept)
    assert run(world).draft.total() >= 0


def test_late_credits_that_wait_would_have_cost_a_discount():
    """8.00 taken back beside 9.00, of which 3.00 are free."""
    given = facts(plan(base_fee=9, discount_amount=3), late=(late(8, 0),))
    _, lines, deferred = rated(given)
    assert (lines, deferred) == ([], (1,))
    smaller = replace(given, late=(late(6, 0),))
    assert run(smaller).draft.total() == 0


@settings(max_examples=40, deadline=None)
@given(worlds(), st.lists(st.tuples(cents, cents, st.sampled_from([1, 4])), max_size=6))
def test_credits_find_the_room_that_all_lines_leave(world, more):
    """Each is tried on the gathered draft, and has the room that it has on the draft itself."""
    lates = [
        late(before, after, of=of, number=30 + n) for n, (before, after, of) in enumerate(more)
    ]
    world = replace(world, late=(*world.late, *lates))
    asking, lines, _ = rated(replace(world, late=()))
    start = late_usage.add_late_charges(asking.adding(*lines), world)
    expected = start
    for line in filter(is_credit, late_usage._lines(world)):
        fits = room.has_room_for(line, expected, world)
        expected = expected.adding(line) if fits else late_usage._deferring(expected, line)
    assert late_usage.add_late_credits(start, world) == expected


def test_no_credit_is_tried_on_every_line(monkeypatch):
    """One for all usage of the month, one for all late usage of the last."""
    tried = []

    def trying(line, draft, facts):
        tried.append(len(draft.lines))
        return room.has_room_for(line, draft, facts)

    monkeypatch.setattr(late_usage, "has_room_for", trying)
    used_up = [used(5, unit=f"unit {number}", number=number) for number in range(40)]
    taken_back = [late(8, 7, number=number) for number in range(40)]
    draft = run(facts(usage=used_up, late=taken_back)).draft
    assert (len(draft.lines), draft.total()) == (80, 160)
    assert tried == [1, *[2] * 39]
