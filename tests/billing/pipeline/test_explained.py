"""Lines explain themselves: what was measured, per dimension, event by event where models ask."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.pipeline import run
from catalog.pricing import Usage, parse_terms
from tests.billing.pipeline.build import MONTH, facts, plan, shown, usage_fact

IN_GB = {
    "model": "PER_UNIT", "rate": "2", "includedFree": 1,
    "divideBy": "1000", "rounding": "CEIL", "roundingPlaces": 0,
}  # fmt: skip
BY_MODEL = {"model": "PER_UNIT", "rate": "1", "includedFree": 2, "groupBy": ["model"]}
EU, US = '{"model":"eu"}', '{"model":"us"}'


def lines(*usage, **fields):
    return run(facts(usage=usage, **fields)).draft.lines


def explained(line):
    return [(charge.label, charge.quantity, charge.amount) for charge in line.charges]


def test_what_is_priced_is_what_was_measured():
    (line,) = lines(usage_fact("2300", IN_GB))
    assert (line.quantity, str(line.amount)) == (2300, "4.00 USD")
    assert explained(line) == [
        ("2300 counted, 3 to be priced", 3, 0),
        ("included", 1, 0),
        ("units", 2, 4),
    ]


def test_each_dimension_has_its_line_its_tiers_and_its_allowance():
    found = lines(
        usage_fact("5", BY_MODEL, number=1, dimension=US),
        usage_fact("3", BY_MODEL, number=2, unit_id=usage_fact(number=1).unit_id, dimension=EU),
    )
    assert [(line.description, line.amount.amount) for line in found] == [
        ("Plan 1: calls, model: eu", 1),
        ("Plan 1: calls, model: us", 3),
    ]


def test_the_total_of_no_dimension_stands_aside_where_there_are_others():
    unit = usage_fact(number=1).unit_id
    split = usage_fact("5", BY_MODEL, number=1, dimension=US)
    empty = usage_fact("0", BY_MODEL, number=2, unit_id=unit)
    assert [line.fact for line in lines(split, empty)] == [split]
    assert [line.fact for line in lines(empty)] == [empty]


def test_multipliers_of_a_dimension_are_in_the_terms():
    terms = {
        "model": "PER_UNIT", "rate": "2", "dimensionKey": "model",
        "dimensionPricing": {"eu": "1.5"},
    }  # fmt: skip
    fact = usage_fact("4", terms, dimension=EU)
    (line,) = lines(replace(fact, terms=fact.terms.of_dimension(EU)))
    assert line.exact_amount == 12


MATRIX = {
    "model": "MATRIX", "dimensions": ["model"],
    "cells": [{"values": {"model": "big"}, "rate": "3"}], "defaultRate": "1",
}  # fmt: skip


def test_models_that_price_single_events_explain_them():
    terms, usage = parse_terms(MATRIX), Usage(Decimal(0))
    for quantity, model in ((2, "big"), (5, "small")):
        usage = terms.add(usage, terms.part_of(Decimal(quantity), {"model": model}))
    fact = usage_fact(usage.quantity, MATRIX, event_count=usage.count, parts=usage.parts)
    (line,) = lines(fact)
    assert line.exact_amount == 11
    assert sum(charge.amount for charge in line.charges) == 11


@pytest.mark.parametrize(("seconds", "due"), [(MONTH, 20), (MONTH / 2, 10)])
def test_stored_terms_price_the_line(seconds, due):
    flat = usage_fact("3", {"model": "FLAT_RATE", "flatRate": "20"})
    (line,) = lines(flat, seconds=seconds)
    assert line.terms.charge(line.quantity) == line.exact_amount == due


def test_names_of_units_and_dimensions_are_for_people():
    fact = usage_fact("1", BY_MODEL, dimension=EU, unit_label="call", unit="requests")
    draft = run(facts(plan(name="Pro"), usage=[fact])).draft
    assert shown(draft) == [("Pro: requests, model: eu (call)", "0.00 USD")]
