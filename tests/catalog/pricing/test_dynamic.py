from decimal import Decimal

import pytest

from catalog.pricing import Charge, InvalidPart, InvalidTerms, Usage, parse_terms

ZERO = Decimal(0)
RESOLD = {"model": "DYNAMIC", "amountField": "cost", "markupPercent": 20}


def used(terms, *amounts):
    usage = Usage(ZERO)
    for amount in amounts:
        usage = terms.add(usage, terms.part_of(Decimal(1), {"cost": amount}))
    return usage


def test_each_event_brings_its_own_amount():
    terms = parse_terms(RESOLD)
    usage = used(terms, "1.25", Decimal("0.75"), 3)
    assert usage.quantity == 3
    assert len(usage.parts) == 1
    assert terms.charge(usage) == Decimal(6)
    assert terms.charges(usage) == (
        Charge("amounts of the events", Decimal(5), Decimal(1), Decimal(5)),
        Charge("markup of 20 %", Decimal(5), Decimal("0.2"), Decimal(1)),
    )
    assert terms.charge(ZERO) == 0
    assert terms.part_keys == ("cost",)


def test_a_refund_takes_away_and_what_is_below_zero_is_nothing():
    terms = parse_terms(RESOLD)
    assert terms.charge(used(terms, 10, "-4")) == Decimal("7.2")
    assert terms.charge(used(terms, 10, "-14")) == 0


def test_a_bare_quantity_is_an_amount():
    assert parse_terms(RESOLD).charge(Decimal(10)) == 12


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (None, "cost: must be a number"),
        ("", "cost: must be a number"),
        ("1e5", "cost: must be a number"),
        ("NaN", "cost: must be a number"),
        (True, "cost: must be a number"),
        ([1], "cost: must be a number"),
        (Decimal("1E+999999999"), "cost: must have at most 24 digits"),
        ("0.0000000000001", "cost: must have at most 12 decimals"),
        (Decimal("1E-400"), "cost: must have at most 12 decimals"),
    ],
)
def test_an_event_without_a_usable_amount_cannot_be_priced(amount, reason):
    with pytest.raises(InvalidPart, match=reason):
        parse_terms(RESOLD).part_of(Decimal(1), {"cost": amount})


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"amountField": None}, "amountField: is required"),
        ({"amountField": ""}, "amountField: must be a text"),
        ({"markupPercent": -1}, "markupPercent: must not be negative"),
        ({"includedFree": 1}, "includedFree: is not a term of DYNAMIC"),
    ],
)
def test_contradictions_are_refused(change, refusal):
    with pytest.raises(InvalidTerms, match=refusal):
        parse_terms({**RESOLD, **change})
