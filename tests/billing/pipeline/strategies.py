"""Facts of every kind: two plans, shared units, dimensions, partial periods, three currencies.

With contracts, coupons, fees in advance, rollover, late usage and earlier invoices.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st

from aforo.money import EXACT, ZERO
from billing.pipeline import EarlierFact
from catalog.pricing import InvalidTerms
from tests.billing.pipeline.build import (
    MONTH,
    advance,
    contract,
    coupon,
    facts,
    fee,
    grant,
    paid,
    plan,
    usage_fact,
)
from tests.billing.pipeline.test_late_usage import late
from tests.catalog.pricing.strategies import percentages, prices, quantities, scaled, terms_of

amounts = st.just(ZERO) | scaled(200, 0) | prices
some = scaled(300, 0) | scaled(5000, 1)
shares = percentages.map(lambda percent: min(percent, Decimal(100)))
percents = st.just(ZERO) | shares
seconds = st.sampled_from([MONTH, MONTH / 2, Decimal(1), ZERO, MONTH - 1])
ends = st.sampled_from([datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6, 8)])


@st.composite
def spends(draw):
    """A minimum, and a maximum that is not below it."""
    minimum, above = draw(amounts), draw(st.none() | amounts)
    return minimum, None if above is None else EXACT.add(minimum, above)


@st.composite
def plans(draw, number):
    minimum, maximum = draw(spends())
    return plan(
        number,
        base_fee=draw(amounts),
        setup_fee=draw(amounts),
        minimum_spend=minimum,
        maximum_spend=maximum,
        discount_percent=draw(percents),
        discount_amount=draw(amounts),
        in_advance=draw(st.booleans()),
        by_days=draw(st.booleans()),
    )


@st.composite
def usage_facts(draw, number):
    terms = draw(terms_of())
    fact = replace(
        usage_fact(
            number=number,
            of=draw(st.integers(1, 2)),
            unit=draw(st.sampled_from(["calls", "tokens"])),
            dimension=draw(st.sampled_from(["", '{"region":"eu"}'])),
        ),
        quantity=draw(quantities),
        terms=terms,
        event_count=draw(st.integers(0, 20)),
    )
    return draw(rolling_over(fact)) if takes_allowance(terms) else fact


@st.composite
def rolling_over(draw, fact):
    """The fact with grants, all of which its events were priced with, and more to be granted."""
    number = 10 * fact.running_total_id
    grants = tuple(
        grant(draw(some.filter(bool)), number=number + place, month=place + 1, expires=draw(ends))
        for place in range(draw(st.integers(0, 2)))
    )
    rollover = ZERO
    for one in grants:
        rollover = EXACT.add(rollover, one.units)
    return replace(
        fact,
        grants=grants,
        rollover=rollover,
        expires_at=draw(st.none() | ends),
        rollover_cap=draw(st.none() | some),
    )


def takes_allowance(terms):
    try:
        terms.with_allowance(Decimal(1))
    except InvalidTerms:
        return False
    return True


@st.composite
def contracts(draw):
    minimum, maximum = draw(spends())
    return contract(
        minimum_spend=draw(st.sampled_from([None, minimum])),
        maximum_spend=maximum,
        discount_percent=draw(percents),
        discount_amount=draw(amounts),
        term_minimum=draw(amounts),
        term_maximum=draw(st.none() | amounts),
        term_spent=draw(amounts),
        ends_term=draw(st.booleans()),
    )


@st.composite
def coupons(draw):
    kinds = st.one_of(st.builds(dict, percent=shares), st.builds(dict, amount=amounts | some))
    return tuple(
        coupon(number, **kind) for number, kind in enumerate(draw(st.lists(kinds, max_size=3)), 1)
    )


@st.composite
def late_usage(draw):
    levels = st.integers(0, 900)
    spans = draw(st.lists(st.tuples(levels, levels, st.integers(1, 3)), max_size=2))
    return tuple(
        late(before, after, of=of, number=40 + place)
        for place, (before, after, of) in enumerate(spans)
    )


@st.composite
def any_facts(draw):
    usage = [draw(usage_facts(number)) for number in range(1, draw(st.integers(0, 4)) + 1)]
    fees = st.none() | st.builds(lambda amount, part: advance(fee(amount), seconds=part),
                                 amounts, seconds)  # fmt: skip
    bought = st.builds(paid, amounts, st.integers(0, 30))
    asked = st.builds(lambda amount: EarlierFact(UUID(int=9), "INV-1", amount), some)
    return facts(
        draw(plans(1)),
        draw(plans(2)),
        usage=usage,
        currency=draw(st.sampled_from(["USD", "JPY", "KWD"])),
        seconds=draw(seconds),
        days=Decimal(draw(st.integers(0, 30))),
        whole_days=Decimal(30),
        is_first=draw(st.booleans()),
        is_opening=draw(st.sampled_from([False, False, False, True])),
        fees=tuple(draw(st.lists(st.builds(fee, amounts), max_size=1))),
        paid=tuple(draw(st.lists(bought, max_size=1))),
        advance=draw(fees),
        contract=draw(st.none() | contracts()),
        coupons=draw(coupons()),
        late=draw(late_usage()),
        earlier=tuple(draw(st.lists(asked, max_size=1))),
    )
