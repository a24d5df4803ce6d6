"""Facts of every kind: two plans, shared units, dimensions, partial periods, three currencies."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import strategies as st

from tests.billing.pipeline.build import MONTH, facts, plan, usage_fact
from tests.catalog.pricing.strategies import percentages, prices, quantities, scaled, terms_of

amounts = st.just(Decimal(0)) | scaled(200, 0) | prices
shares = percentages.map(lambda percent: min(percent, Decimal(100)))
seconds = st.sampled_from([MONTH, MONTH / 2, Decimal(1), Decimal(0), MONTH - 1])


def plans(number):
    return st.builds(
        plan,
        st.just(number),
        base_fee=amounts,
        minimum_spend=amounts,
        discount_percent=st.just(Decimal(0)) | shares,
        discount_amount=amounts,
    )


def usage_facts(number):
    return st.builds(
        lambda quantity, terms, events, **fields: replace(
            usage_fact(number=number, **fields), quantity=quantity, terms=terms, event_count=events
        ),
        quantities,
        terms_of(),
        st.integers(0, 20),
        of=st.integers(1, 2),
        unit=st.sampled_from(["calls", "tokens"]),
        dimension=st.sampled_from(["", '{"region":"eu"}']),
    )


@st.composite
def any_facts(draw):
    usage = [draw(usage_facts(number)) for number in range(1, draw(st.integers(0, 4)) + 1)]
    currency = draw(st.sampled_from(["USD", "JPY", "KWD"]))
    return facts(
        draw(plans(1)), draw(plans(2)), usage=usage, currency=currency, seconds=draw(seconds)
    )
