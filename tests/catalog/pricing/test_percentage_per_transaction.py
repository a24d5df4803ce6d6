from decimal import Decimal

import pytest

from catalog.pricing import Charge, InvalidTerms, Part, Usage, parse_terms

ZERO = Decimal(0)
CARDS = {
    "model": "PERCENTAGE",
    "ratePercent": "2.9",
    "minPerTransaction": "0.25",
    "maxPerTransaction": 5,
    "fixedFee": "0.10",
}


def used(terms, *amounts):
    usage = Usage(ZERO)
    for amount in amounts:
        usage = terms.add(usage, terms.part_of(Decimal(amount), {}))
    return usage


def test_each_transaction_is_priced_alone():
    terms = parse_terms(CARDS)
    usage = used(terms, "2.00", "100.00", "50.00", "1000.00", "0")
    assert terms.charge(usage) == Decimal("10.35")  # .25 + 2.90 + 1.45 + 5 + .25 + 5 x .10
    assert terms.charges(usage) == (
        Charge("transactions at the maximum of 5", Decimal(1), Decimal(5), Decimal(5)),
        Charge("transactions at the minimum of 0.25", Decimal(2), Decimal("0.25"), Decimal("0.5")),
        Charge("2.9 %", Decimal(150), Decimal("0.029"), Decimal("4.35")),
        Charge("transactions", Decimal(5), Decimal("0.1"), Decimal("0.5")),
    )
    assert usage.quantity == 1152
    assert len(usage.parts) == 3


def test_nothing_costs_nothing_and_a_bare_amount_is_one_without_a_fixed_fee():
    terms = parse_terms(CARDS)
    assert terms.charge(ZERO) == 0
    assert terms.charge(Decimal(100)) == Decimal("2.9")
    assert terms.charge(Decimal(1)) == Decimal("0.25")
    assert terms.charge(Decimal(100000)) == 5


def test_the_fees_of_the_period_hold_the_sum():
    terms = parse_terms({**CARDS, "minFee": 20, "maxFee": 30, "fixedFee": 1})
    assert terms.charge(ZERO) == 20
    assert terms.charge(used(terms, 100)) == 21
    assert terms.charge(used(terms, *["1000"] * 10)) == 40
    assert terms.charges(used(terms, 100))[1] == Charge(
        "minimum fee of 20", ZERO, None, Decimal("17.1")
    )


def test_a_transaction_that_is_taken_back_leaves_nothing():
    terms = parse_terms(CARDS)
    usage = used(terms, 100, 3, 50)
    assert terms.remove(usage, Part(Decimal(3))) == used(terms, 50, 100)
    assert terms.remove(used(terms, 3), Part(Decimal(3))) == Usage(ZERO)


def test_money_in_cents_is_measured_before_it_is_priced():
    terms = parse_terms({**CARDS, "divideBy": 100})
    assert terms.charge(used(terms, 10000, 200)) == Decimal("3.35")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"freeTransactions": 3}, "freeTransactions: must be absent: each transaction is priced"),
        ({"freeAmount": 1}, "freeAmount: must be absent: each transaction is priced"),
        ({"minPerTransaction": 6}, "minPerTransaction: must not be above the maximum, 5"),
        ({"minFee": 6, "maxFee": 5}, "minFee: must not be above the maximum, 5"),
        ({"maxPerTransaction": -1}, "maxPerTransaction: must not be negative"),
    ],
)
def test_contradictions_are_refused(change, refusal):
    with pytest.raises(InvalidTerms, match=refusal):
        parse_terms({**CARDS, **change})


def test_zeros_of_what_it_excludes_say_nothing():
    said = {**CARDS, "freeTransactions": 0, "freeAmount": "0"}
    assert parse_terms(said) == parse_terms(CARDS)
    assert parse_terms(parse_terms(CARDS).as_dict()) == parse_terms(CARDS)
