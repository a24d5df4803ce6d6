"""What is given back of a fee is the unused part of what was asked for it, whatever took off it."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aforo.money import EXACT
from billing.pipeline import LineType, PaidFact, Share, run
from billing.pipeline.taken_off import MadeLine, taken_off
from tests.billing.pipeline.build import (
    advance,
    contract,
    coupon,
    facts,
    fee,
    paid,
    plan,
    shown,
    usage_fact,
)
from tests.billing.pipeline.test_late_usage import late

ONE = {"model": "PER_UNIT", "rate": "1"}
percents = st.sampled_from([0, 10, Decimal("33.3"), 50, 100])
cents = st.integers(0, 20_000).map(lambda number: Decimal(number).scaleb(-2))


def made(draft):
    return [
        MadeLine(
            line.stage,
            line.type,
            line.amount.amount,
            line.version_id,
            line.ahead,
            line.description,
            line.late is not None,
        )
        for line in draft.lines
    ]


@st.composite
def worlds(draw):
    """An invoice that asks for a fee in advance beside usage, with discounts of every giver."""
    own, other = draw(percents), draw(percents)
    spans = draw(st.sampled_from([{}, {"of_next": False}, {"of_period": False}]))
    amount = draw(cents.filter(bool))
    dear = replace(fee(of=2), amount=amount, discount_percent=Decimal(own))
    return dear, facts(
        plan(1, discount_percent=other, base_fee=draw(cents)),
        usage=[usage_fact(draw(cents), ONE)],
        advance=advance(dear),
        coming=(plan(2, discount_percent=own),),
        late=draw(st.sampled_from([(), (late(0, 50),), (late(0, 1000, of=2),)])),
        contract=draw(st.none() | st.just(contract(discount_percent=25, discount_amount=3))),
        coupons=(
            replace(coupon(1, percent=draw(percents)), **spans),
            coupon(2, amount=draw(st.sampled_from([0, 5]))),
        ),
    )


@settings(max_examples=50, deadline=None)
@given(world=worlds(), unused=st.integers(0, 30), held=cents)
def test_nobody_is_given_back_more_than_was_asked_for(world, unused, held):
    dear, asking = world
    draft = run(asking).draft
    (line,) = (line for line in draft.lines if line.ahead and line.type is LineType.CHARGE)
    lines = made(draft)
    plans = {one.version_id: one.discount_percent for one in (*asking.plans, *asking.coming)}
    off = taken_off(lines[draft.lines.index(line)], lines, plans, currency="USD")
    share = Share(Decimal(unused), Decimal(30), "days")
    fact = PaidFact(dear, line.exact_amount, share, taken_off=off)
    assert 0 <= fact.asked <= max(Decimal(0), draft.total()) + Decimal("0.05")
    giving = facts(
        plan(2, discount_percent=dear.discount_percent),
        plan(3, base_fee=Decimal(1000)),
        contract=contract(discount_percent=25),
        coupons=(coupon(1, percent=50),),
    )
    back = run(giving).draft.total() - run(replace(giving, paid=(fact,))).draft.total()
    assert abs(back - share.of(fact.asked)) <= Decimal("0.02")
    assert back <= fact.asked + Decimal("0.02")
    small = replace(giving, plans=(giving.plans[0], plan(3, base_fee=held)), paid=(fact,))
    assert 0 <= run(small).draft.total() <= run(replace(small, paid=())).draft.total()


def test_a_fee_has_its_share_of_what_was_taken_off_the_invoice():
    """Of 30 ahead beside 70: half of all, of the next period alone, of all but that; and 20."""
    for spans, off in [({}, 15), ({"of_period": False}, 15), ({"of_next": False}, 0)]:
        given = facts(
            usage=[usage_fact("70", ONE)],
            advance=advance(fee("30")),
            coupons=(replace(coupon(percent=50), **spans),),
        )
        lines = made(run(given).draft)
        assert taken_off(lines[1], lines, {}, currency="USD") == off
    amount = replace(given, coupons=(coupon(amount=20),))
    lines = made(run(amount).draft)
    assert taken_off(lines[1], lines, {}, currency="USD") == 6
    lines = made(run(replace(amount, coupons=(), plans=(plan(discount_amount=20),))).draft)
    assert taken_off(lines[1], lines, {UUID(int=1): Decimal(0)}, currency="USD") == 6


def off_next_fee(asking):
    """What an invoice takes off the fee in advance that it asks for."""
    lines = made(run(asking).draft)
    (line,) = (line for line in lines if line.ahead and line.type is LineType.CHARGE)
    return taken_off(line, lines, {}, currency="USD")


def test_a_credit_for_late_usage_has_no_share_of_an_amount():
    """Beside -20.00, a fee of 31.00 has all of 10.00 off; 30.99 beside another has its half."""
    asking = facts(advance=advance(fee("31")), late=(late(20, 0),), coupons=(coupon(amount=10),))
    assert run(asking).draft.total() == 1
    assert off_next_fee(asking) == 10
    beside = replace(asking, usage=(usage_fact("31", ONE, number=2),))
    assert off_next_fee(beside) == 5
    assert off_next_fee(replace(beside, coupons=(coupon(percent=10),))) == Decimal("3.1")
    own = replace(beside, coupons=(), plans=(plan(discount_amount=10),))
    assert off_next_fee(own) == 5


@pytest.mark.parametrize("whose", ["plan", "contract"])
@pytest.mark.parametrize("used_late", [0, 50, 1000])
@pytest.mark.parametrize("amount", [10, 31])
def test_a_fixed_discount_of_a_period_has_nothing_to_do_with_late_usage(amount, used_late, whose):
    """It was granted in its own period: here all of it is off the next fee of 31.00."""
    granted = {"discount_amount": amount}
    givers = {"plans": (plan(**granted),)} if whose == "plan" else {"contract": contract(**granted)}
    used = (late(0, used_late),) if used_late else ()
    asking = replace(facts(advance=advance(fee("31")), late=used), **givers)
    assert run(asking).draft.total() == used_late + 31 - amount
    assert off_next_fee(asking) == amount


def test_late_usage_is_nothing_that_a_maximum_of_a_period_is_taken_off():
    """5.1667 off a next fee of 31.00 beside 29.00 that a maximum leaves, whatever is late."""
    known = {"plans": (plan(2, discount_amount=10),), "advance": advance(fee("31", of=2))}
    asking = facts(usage=[usage_fact("100", ONE, of=2)], contract=contract(maximum_spend=29))
    for used in ((), (late(0, 1000),)):
        assert round(off_next_fee(replace(asking, late=used, **known)), 4) == Decimal("5.1667")


@pytest.mark.parametrize("whose", ["plan", "contract"])
@pytest.mark.parametrize(
    ("maximum", "off"), [(29, Decimal("5.1667")), (Decimal("0.01"), Decimal("9.9968")), (0, 10)]
)
def test_what_is_above_a_maximum_is_taken_off_its_own_lines_alone(maximum, off, whose):
    """10.00 off a next fee of 31.00 and what the maximum leaves of 100.00 of usage."""
    asking = facts(advance=advance(fee("31")), usage=[usage_fact("100", ONE)])
    limited = {"maximum_spend": maximum}
    held = {"plans": (plan(**limited),)} if whose == "plan" else {"contract": contract(**limited)}
    given = replace(asking, coupons=(coupon(amount=10),), **held)
    assert run(given).draft.total() == maximum + 21
    assert round(off_next_fee(given), 4) == off


def test_a_credit_above_a_maximum_keeps_what_its_lines_have_no_room_for():
    """Of 40.00 paid before 30.00 were too much; 10 % are of a next fee of 31.00 and of those."""
    asking = facts(
        plan(in_advance=True, maximum_spend=10),
        paid=(paid("40", unused="0"),),
        advance=advance(fee("31")),
        coupons=(coupon(percent=10),),
    )
    assert run(asking).draft.total() == Decimal("0.9")
    assert off_next_fee(asking) == Decimal("3.1")


def test_a_coupon_for_the_next_fee_is_of_that_whatever_is_given_back_beside_it():
    """A fee of 42, 21 given back: half of 42, not of what is left."""
    given = facts(
        plan(base_fee=31, in_advance=True),
        paid=(paid("31.5", unused="20"),),
        advance=advance(fee("42", of=2)),
        coming=(plan(2),),
        coupons=(replace(coupon(percent=50), of_period=False),),
    )
    draft = run(given).draft
    assert shown(draft)[-1] == ("coupon SAVE1: discount of 50 %", "-21.00 USD")
    assert draft.total() == 0


def test_what_percentages_need_waits_instead_of_being_lost():
    """Of 40 in all a coupon takes 30: of the 21 unused, 10 are given back."""
    given = facts(
        plan(base_fee=31, in_advance=True),
        paid=(paid("31.5", unused="20"),),
        advance=advance(fee("40", of=2)),
        coming=(plan(2),),
        coupons=(coupon(percent=75),),
    )
    draft = run(given).draft
    assert draft.total(LineType.PRORATION) == -10
    assert draft.total(LineType.DISCOUNT) == -30
    assert draft.total() == 0


@pytest.mark.parametrize("taken", ["0", "15", "30"])
def test_what_was_taken_off_is_not_given_back(taken):
    one = replace(paid("30", unused="10"), taken_off=Decimal(taken))
    given = facts(plan(base_fee=30, in_advance=True), plan(2, base_fee=100), paid=(one,))
    draft = run(given).draft
    assert draft.total() == 100 - EXACT.divide(30 - Decimal(taken), Decimal(3))
