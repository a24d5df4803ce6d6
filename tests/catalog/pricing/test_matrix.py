from decimal import Decimal

import pytest

from catalog.pricing import Charge, InvalidTerms, Usage, parse_terms

ZERO = Decimal(0)


def cell(rate, **values):
    return {"values": values, "rate": rate}


TOKENS = {
    "model": "MATRIX",
    "dimensions": ["model", "region"],
    "cells": [
        cell("0.01", model="small", region="*"),
        cell("0.03", model="large", region="eu"),
        cell("0.02", model="large"),
        cell("0.05", region="eu"),
    ],
    "defaultRate": "0.04",
}


def used(terms, *events):
    usage = Usage(ZERO)
    for quantity, fields in events:
        usage = terms.add(usage, terms.part_of(Decimal(quantity), fields))
    return usage


@pytest.mark.parametrize(
    ("fields", "rate"),
    [
        ({"model": "large", "region": "eu"}, "0.03"),  # both values are named
        ({"model": "large", "region": "us"}, "0.02"),
        ({"model": "small", "region": "eu"}, "0.01"),  # a tie: the earlier dimension wins
        ({"model": "tiny", "region": "eu"}, "0.05"),
        ({"model": "tiny", "region": "us"}, "0.04"),
        ({"region": "eu"}, "0.05"),
        ({}, "0.04"),
        ({"model": None, "region": 7}, "0.04"),
    ],
)
def test_the_most_specific_cell_wins(fields, rate):
    terms = parse_terms(TOKENS)
    assert terms.charge(used(terms, (100, fields))) == Decimal(rate) * 100


def test_events_are_summed_by_cell_and_each_cell_is_a_line():
    terms = parse_terms(TOKENS)
    usage = used(
        terms,
        (100, {"model": "large", "region": "eu"}),
        (50, {"model": "small", "region": "eu"}),
        (25, {"model": "small", "region": "us"}),
        (10, {"model": "other"}),
    )
    assert terms.charge(usage) == Decimal("4.15")
    assert terms.charges(usage) == (
        Charge("any other", Decimal(10), Decimal("0.04"), Decimal("0.4")),
        Charge("model large, region eu", Decimal(100), Decimal("0.03"), Decimal(3)),
        Charge("model small, region *", Decimal(75), Decimal("0.01"), Decimal("0.75")),
    )
    assert usage.quantity == 185
    assert len(usage.parts) == 3


def test_numbers_match_as_text():
    terms = parse_terms(
        {"model": "MATRIX", "dimensions": ["gpus"], "cells": [cell(9, gpus="8")], "defaultRate": 1}
    )
    assert terms.charge(used(terms, (1, {"gpus": 8}), (1, {"gpus": Decimal("8.0")}))) == 18


def test_a_bare_quantity_is_in_no_cell():
    assert parse_terms(TOKENS).charge(Decimal(100)) == Decimal(4)
    assert parse_terms(TOKENS).charge(ZERO) == 0
    catching = {**TOKENS, "cells": [cell("0.07")], "defaultRate": None}
    assert parse_terms(catching).charge(Decimal(100)) == Decimal(7)


def test_every_event_is_measured_by_itself():
    calls = {**TOKENS, "divideBy": 60, "rounding": "CEIL", "defaultRate": 1, "cells": None}
    terms = parse_terms(calls)
    usage = used(terms, (61, {}), (61, {}))
    assert usage.quantity == 122
    assert terms.charge(usage) == 4  # not the 3 minutes that 122 seconds would be


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"dimensions": None}, "dimensions: is required"),
        ({"dimensions": []}, "dimensions: must name at least one"),
        ({"dimensions": list("abcd")}, "dimensions: must be a list of at most 3 names"),
        ({"defaultRate": None}, "defaultRate: is required, unless a cell of"),
        ({"cells": [cell(1)]}, "defaultRate: must be absent, as a cell of"),
        ({"cells": [cell(1, tier="a")]}, r"cells\[0\].values.tier: is not one of the dimensions"),
        ({"cells": [cell(1, model="")]}, r"cells\[0\].values.model: must be a text"),
        (
            {"cells": [cell(1, model="a"), cell(2, model="a", region="*")]},
            r"cells\[1\].values: has a rate already",
        ),
        ({"cells": [cell(-1, model="a")]}, r"cells\[0\].rate: must not be negative"),
        ({"cells": [{**cell(1, model="a"), "x": 1}]}, r"cells\[0\].x: is not a term of a cell"),
        ({"cells": [cell(1, model=str(n)) for n in range(1001)]}, "cells: must be at most 1000"),
        ({"includedFree": 5}, "includedFree: is not a term of MATRIX"),
    ],
)
def test_contradictions_are_refused(change, refusal):
    with pytest.raises(InvalidTerms, match=refusal):
        parse_terms({**TOKENS, **change})
