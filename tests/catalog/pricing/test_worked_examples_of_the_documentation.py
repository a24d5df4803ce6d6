"""The numbers that the public documentation works out, and those of its formulas."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice, pairwise

import pytest

from aforo.money import Money
from aforo.periods import monthly
from catalog.pricing import Usage, parse_terms
from catalog.pricing.dimensions import dimension_of

TIERS = [
    {"tierStart": 0, "tierEnd": 1_000, "unitPrice": "0.010", "sortOrder": 1},
    {"tierStart": 1_000, "tierEnd": 10_000, "unitPrice": "0.008", "sortOrder": 2},
    {"tierStart": 10_000, "tierEnd": -1, "unitPrice": "0.005", "sortOrder": 3},
]
PER_UNIT = {"model": "PER_UNIT", "rate": "0.05", "includedFree": 100}
CARDS = {"model": "PERCENTAGE", "ratePercent": "2.9", "minFee": "0.30"}
QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": 1_000, "rate": "0.50"}
BLOCKS = QUOTA | {"blockSize": 100}
GRADUATED = {"model": "GRADUATED", "tiers": TIERS}
VOLUME = {"model": "VOLUME_TIERED", "tiers": TIERS}
WITH_FEES = [TIERS[0] | {"flatFee": 5}, TIERS[1] | {"flatFee": 7}, TIERS[2]]
STEPS = {"model": "STAIRSTEP", "steps": [{"tierEnd": 10, "price": 100}], "overageRate": 5}
SHARES = [{"tierEnd": 1_000, "ratePercent": "2.9"}, {"tierEnd": -1, "ratePercent": "1.5"}]
CELLS = [
    {"values": {"tool_name": "search"}, "rate": "0.001"},
    {"values": {"tool_name": "summarize"}, "rate": "0.05"},
]
TOOLS = {"model": "MATRIX", "dimensions": ["tool_name"], "cells": CELLS, "defaultRate": "0.10"}
"""Prices of tools within one subscription: 0.001, 0.05 and, of any other, 0.10."""


def due(terms, quantity, count=0):
    return parse_terms(terms).charge(Usage(Decimal(quantity), count))


@pytest.mark.parametrize(
    ("terms", "quantity", "charge"),
    [
        # Rate plans: 1,000 at .010, 9,000 at .008, 5,000 at .005; by volume, all of them at .005.
        (GRADUATED, 15_000, "107"),
        (VOLUME, 15_000, "75"),
        # A tier's end is in the tier; the last one is open; nothing used costs nothing.
        (GRADUATED, 1_000, "10"),
        (GRADUATED, 1_001, "10.008"),
        (VOLUME, 1_000, "10"),
        (VOLUME, 1_001, "8.008"),
        (VOLUME, 10_000, "80"),
        (VOLUME, 10_001, "50.005"),
        (GRADUATED, 0, "0"),
        (VOLUME, 0, "0"),
        # A flat fee once its tier is entered, or of the one tier that the total falls in.
        (GRADUATED | {"tiers": WITH_FEES}, 15_000, "119"),
        (VOLUME | {"tiers": WITH_FEES}, 5_000, "47"),
        # max(0, q - includedFree) x rate
        (PER_UNIT, 250, "7.5"),
        (PER_UNIT, 100, "0"),
        (PER_UNIT, 40, "0"),
        # flatRate
        ({"model": "FLAT_RATE", "flatRate": "49"}, 0, "49"),
        ({"model": "FLAT_RATE", "flatRate": "49"}, 12_345, "49"),
        # max(minFee, q x ratePercent / 100): 2.9 is 2.9 %, and minFee is due of nothing, too
        (CARDS, 100, "2.9"),
        (CARDS, 5, "0.3"),
        (CARDS, 0, "0.3"),
        # Without blocks by the unit; with them by the block, begun ones whole: not by its units.
        (QUOTA, 1_250, "125"),
        (BLOCKS, 1_000, "0"),
        (BLOCKS, 1_001, "0.5"),
        (BLOCKS, 1_250, "1.5"),
        # BLOCK and IGNORE charge no overage: one is denied it, the other is counted.
        (QUOTA | {"ovBehavior": "IGNORE"}, 1_250, "0"),
        (QUOTA | {"ovBehavior": "BLOCK"}, 1_250, "0"),
        # Stairstep: the price of the step reached; above the last, the excess at overageRate.
        (STEPS, 10, "100"),
        (STEPS, 12, "110"),
        # Money split over tiers.
        ({"model": "GRADUATED_PERCENTAGE", "tiers": SHARES}, 3_000, "59"),
    ],
)  # fmt: skip
def test_charges(terms, quantity, charge):
    assert due(terms, quantity) == Decimal(charge)


@pytest.mark.parametrize(
    ("terms", "charge"),
    [
        ({"model": "FLAT_RATE", "flatRate": "49"}, "49"),
        (CARDS, "0.3"),
        (GRADUATED | {"tiers": WITH_FEES, "billZeroTier": True}, "5"),
        (VOLUME | {"tiers": WITH_FEES, "billZeroTier": True}, "5"),
        (GRADUATED | {"tiers": WITH_FEES}, "0"),
        (PER_UNIT, "0"),
        (QUOTA, "0"),
        (TOOLS, "0"),
        ({"model": "DYNAMIC", "amountField": "amount"}, "0"),
    ],
)  # fmt: skip
def test_what_is_due_of_nothing(terms, charge):
    assert due(terms, 0) == Decimal(charge)


@pytest.mark.parametrize("terms", [PER_UNIT, CARDS, QUOTA, BLOCKS, GRADUATED, VOLUME])
def test_an_event_costs_what_the_price_rises_by_and_the_sum_is_the_price(terms):
    """price(total after) - price(total before), by the same calculator as the bill run."""
    parsed, steps = parse_terms(terms), [Decimal(0), *map(Decimal, (1, 999, 1_000, 1_001, 15_000))]
    marginals = [parsed.marginal(*pair) for pair in pairwise(steps)]
    assert parsed.charge(Decimal(0)) + sum(marginals) == parsed.charge(Decimal(15_000))


def test_tools_of_one_subscription_have_prices_of_their_own():
    terms = parse_terms(TOOLS)
    usage = Usage(Decimal(0))
    for tool in ("search", "search", "summarize", "translate"):
        usage = terms.add(usage, terms.part_of(Decimal(1), {"tool_name": tool}))
    assert terms.charge(usage) == Decimal("0.152")


@pytest.mark.parametrize("key", ["tool_name", "endpoint_path", "capability_name"])
def test_a_dimension_multiplies_the_charge(key):
    pricing = {"dimensionKey": key, "dimensionPricing": {"heavy": "2.5"}}
    terms = parse_terms({"model": "PER_UNIT", "rate": "0.04"} | pricing)
    for value, charge in (("heavy", "1"), ("light", "0.4")):
        own = terms.of_dimension(dimension_of(terms.dimension_keys, {key: value}))
        assert own.charge(Decimal(10)) == Decimal(charge)


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("2.345", "USD", "2.34"),
        ("2.355", "USD", "2.36"),
        ("107.5", "JPY", "108"),
        ("106.5", "JPY", "106"),
        ("1.0005", "KWD", "1.000"),
        ("1.0015", "KWD", "1.002"),
    ],
)
def test_money_is_rounded_half_even_to_the_coins_of_its_currency(amount, currency, rounded):
    assert str(Money(Decimal(amount), currency).rounded().amount) == rounded


def test_periods_end_where_their_months_do():
    """31 Jan -> 28 Feb -> 31 Mar."""
    start = datetime(2026, 1, 31, tzinfo=UTC)
    first, second = islice(monthly(start=start, anchor_day=31, zone="UTC"), 2)
    assert (first.end, second.end) == (
        datetime(2026, 2, 28, tzinfo=UTC),
        datetime(2026, 3, 31, tzinfo=UTC),
    )
