from decimal import Decimal

import pytest

from catalog.pricing import Charge, InvalidTerms, Usage, parse_terms

PLAIN = {"model": "PERCENTAGE", "ratePercent": "2.9"}
CARDS = {
    **PLAIN,
    "fixedFee": "0.30",
    "freeTransactions": 10,
    "freeAmount": 500,
    "minFee": 20,
    "maxFee": 100,
}


@pytest.mark.parametrize(
    ("terms", "amount", "count", "charge"),
    [
        ({}, "1000", 0, "29"),
        ({}, "0", 0, "0"),
        ({"minFee": 5}, "0", 0, "5"),
        ({"minFee": 5}, "100", 0, "5"),
        ({"minFee": 5}, "1000", 0, "29"),
        ({"maxFee": 25}, "1000", 0, "25"),
        ({"minFee": 25, "maxFee": 25}, "123456", 0, "25"),
        ({"freeAmount": 400}, "1000", 0, "17.4"),
        ({"freeAmount": 400}, "400", 0, "0"),
        ({"fixedFee": "0.30"}, "1000", 40, "41"),
        ({"fixedFee": "0.30", "freeTransactions": 10}, "1000", 40, "38"),
        ({"fixedFee": "0.30", "freeTransactions": 50}, "1000", 40, "29"),
        ({"fixedFee": "0.30", "minFee": 50}, "1000", 40, "62"),
        ({"fixedFee": "0.30", "maxFee": 10}, "1000", 40, "22"),
    ],
)
def test_worked_examples(terms, amount, count, charge):
    parsed = parse_terms({**PLAIN, **terms})
    assert parsed.charge(Usage(Decimal(amount), count)) == Decimal(charge)


def test_a_bare_amount_has_no_transactions():
    assert parse_terms({**PLAIN, "fixedFee": 1}).charge(Decimal(1000)) == Decimal(29)


def test_the_lines_say_what_was_free_and_which_limit_held():
    zero = Decimal(0)
    assert parse_terms(CARDS).charges(Usage(Decimal(1000), 40)) == (
        Charge("free amount", Decimal(500), zero, zero),
        Charge("2.9 %", Decimal(500), Decimal("0.029"), Decimal("14.5")),
        Charge("minimum fee of 20", zero, None, Decimal("5.5")),
        Charge("free transactions", Decimal(10), zero, zero),
        Charge("transactions", Decimal(30), Decimal("0.3"), Decimal(9)),
    )
    assert parse_terms(CARDS).charges(Decimal(10500)) == (
        Charge("free amount", Decimal(500), zero, zero),
        Charge("2.9 %", Decimal(10000), Decimal("0.029"), Decimal(290)),
        Charge("maximum fee of 100", zero, None, Decimal(-190)),
    )
    assert parse_terms(CARDS).charges(zero) == (
        Charge("minimum fee of 20", zero, None, Decimal(20)),
    )


def test_a_minimum_above_the_maximum_is_refused():
    with pytest.raises(InvalidTerms, match="minFee: must not be above maxFee, 9"):
        parse_terms({**PLAIN, "minFee": 10, "maxFee": 9})


@pytest.mark.parametrize(
    ("value", "reason"), [("1.5", "must be a whole number"), (-1, "must not be negative")]
)
def test_free_transactions_are_counted(value, reason):
    with pytest.raises(InvalidTerms, match=f"freeTransactions: {reason}"):
        parse_terms({**PLAIN, "freeTransactions": value})
