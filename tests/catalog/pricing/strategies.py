"""Terms and quantities for the pricing properties, small ones near the bounds and huge ones.

Decimals are spelt as text, because arithmetic on them would round to the ambient context.
"""

from decimal import Decimal

from hypothesis import strategies as st

from catalog.pricing import Usage, parse_terms


def scaled(largest, places):
    return st.integers(0, largest).map(lambda number: Decimal(f"{number}E-{places}"))


small = scaled(40, 0) | scaled(400, 1) | scaled(40 * 10**12, 12)
quantities = small | scaled(10**36 - 1, 12)
prices = scaled(100, 0) | scaled(10**9, 6) | scaled(10**38 - 1, 12)
percentages = scaled(1000, 1) | scaled(10**14, 12)
counts = st.integers(0, 20)
usages = st.builds(Usage, quantities, counts)
ends = st.lists((scaled(30, 0) | scaled(300, 1)).filter(bool), max_size=4, unique=True).map(sorted)


@st.composite
def banded(draw, name, rate_name, rates, *, last_is_open=True):
    """A list of tiers or steps with its ends in order."""
    bounds = [*draw(ends), *([-1] if last_is_open else [draw(scaled(20, 0).map(Decimal(31).__add__))])]
    bands = [{"tierEnd": end, rate_name: draw(rates)} for end in bounds]
    if rate_name != "price":
        bands = [{**band, "flatFee": draw(st.none() | prices)} for band in bands]
    return {name: bands}


def wire(model, **fields):
    optional = {key: st.none() | value for key, value in fields.pop("optional", {}).items()}
    return st.fixed_dictionaries({"model": st.just(model), **fields, **optional})


def merged(*dictionaries):
    return st.tuples(*dictionaries).map(lambda parts: {k: v for part in parts for k, v in part.items()})


zero_tier = wire_zero = {"billZeroTier": st.booleans()}
per_unit = wire("PER_UNIT", rate=prices, optional={"includedFree": quantities})
flat_rate = wire("FLAT_RATE", flatRate=prices)
percentage = wire(
    "PERCENTAGE",
    ratePercent=percentages,
    optional={
        "minFee": scaled(10, 0),
        "maxFee": scaled(20, 0).map(Decimal(10).__add__),
        "fixedFee": prices,
        "freeTransactions": counts,
        "freeAmount": small,
    },
)
