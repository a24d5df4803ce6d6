"""Terms and usage for the pricing properties: small numbers near the bounds, and huge ones.

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
def tiers(draw, rate_name, rates):
    return [
        {"tierEnd": end, rate_name: draw(rates), "flatFee": draw(st.none() | prices)}
        for end in [*draw(ends), draw(st.sampled_from([-1, None]))]
    ]


@st.composite
def stairsteps(draw):
    finite = draw(ends)
    overage_rate = draw(st.none() | prices) if finite else None
    steps = [
        {"tierEnd": end, "price": draw(prices)}
        for end in (finite if overage_rate is not None else [*finite, -1])
    ]
    return {"model": "STAIRSTEP", "steps": steps, "overageRate": overage_rate}


VALUES = ["small", "large", "eu", "us", "*", ""]
values = st.sampled_from(VALUES)
keys = st.lists(st.sampled_from(["model", "region", "tier"]), min_size=1, max_size=3, unique=True)


@st.composite
def matrices(draw):
    dimensions = draw(keys)
    cells = st.fixed_dictionaries({key: st.sampled_from(VALUES[:-1]) for key in dimensions})
    by_values = {
        tuple(cell[key] for key in dimensions): cell for cell in draw(st.lists(cells, max_size=6))
    }
    catches_all = ("*",) * len(dimensions) in by_values
    return {
        "model": "MATRIX",
        "dimensions": dimensions,
        "cells": [{"values": cell, "rate": draw(prices)} for cell in by_values.values()] or None,
        "defaultRate": None if catches_all else draw(prices),
    }


def wire(model, **fields):
    return st.fixed_dictionaries({"model": st.just(model), **fields})


WIRE = {
    "PER_UNIT": wire("PER_UNIT", rate=prices, includedFree=st.none() | quantities),
    "FLAT_RATE": wire("FLAT_RATE", flatRate=prices),
    "PERCENTAGE": wire(
        "PERCENTAGE",
        ratePercent=percentages,
        minFee=st.none() | st.integers(0, 10),
        maxFee=st.none() | st.integers(10, 30),
        fixedFee=st.none() | prices,
        freeTransactions=st.none() | counts,
        freeAmount=st.none() | small,
    )
    | wire(
        "PERCENTAGE",
        ratePercent=percentages,
        minPerTransaction=st.none() | st.integers(0, 3),
        maxPerTransaction=st.integers(3, 10),
        minFee=st.none() | st.integers(0, 10),
        maxFee=st.none() | st.integers(10, 30),
        fixedFee=st.none() | prices,
    ),
    "INCLUDED_QUOTA": wire(
        "INCLUDED_QUOTA",
        includedFree=small,
        rate=prices,
        blockSize=st.none() | small.filter(bool),
        ovBehavior=st.none() | st.sampled_from(["CHARGE", "BLOCK", "IGNORE"]),
    ),
    "GRADUATED": wire("GRADUATED", tiers=tiers("unitPrice", prices), billZeroTier=st.booleans()),
    "VOLUME_TIERED": wire(
        "VOLUME_TIERED", tiers=tiers("unitPrice", prices), billZeroTier=st.booleans()
    ),
    "STAIRSTEP": stairsteps(),
    "MATRIX": matrices(),
    "DYNAMIC": wire(
        "DYNAMIC", amountField=st.just("amount"), markupPercent=st.none() | percentages
    ),
    "GRADUATED_PERCENTAGE": wire(
        "GRADUATED_PERCENTAGE",
        tiers=tiers("ratePercent", percentages),
        billZeroTier=st.booleans(),
    ),
}


def event_fields():
    """Metadata of events that every model can price."""
    return st.fixed_dictionaries(
        {"amount": quantities}, optional=dict.fromkeys(["model", "region", "tier"], values)
    )


def terms_of(*models):
    """Terms of one of `models`; of any model when none is named."""
    return st.one_of(*(WIRE[model] for model in models or WIRE)).map(parse_terms)
