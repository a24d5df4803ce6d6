"""Money: exact, rounded once, one spelling."""

from decimal import Decimal, Inexact, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.money import Money, divide, exact, minor_units, plain, round_to_minor

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)


@pytest.mark.parametrize(
    ("currency", "places"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("EUR", 2)]
)
def test_currencies_have_their_own_minor_units(currency, places):
    assert minor_units(currency) == places


def test_an_unknown_currency_is_refused():
    with pytest.raises(ValueError, match="ZZZ"):
        minor_units("ZZZ")


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.125", "USD", "0.12"),
        ("0.135", "USD", "0.14"),
        ("-0.125", "USD", "-0.12"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("1.2345", "KWD", "1.234"),
    ],
)
def test_halves_go_to_the_even_neighbour(amount, currency, rounded):
    assert str(round_to_minor(Decimal(amount), currency)) == rounded


@given(AMOUNTS)
def test_rounding_moves_by_at_most_half_a_coin(amount):
    with exact():
        assert abs(round_to_minor(amount, "USD") - amount) <= Decimal("0.005")


def test_two_currencies_do_not_add_up():
    with pytest.raises(ValueError, match="USD with EUR"):
        Money(Decimal(1), "USD") + Money(Decimal(1), "EUR")


def test_no_digit_is_lost_whatever_the_ambient_context():
    long = Decimal("123456789012345678901234567890.123456789012")
    with localcontext(prec=5):
        assert (Money(long, "USD") + Money(long, "USD") - Money(long, "USD")).amount == long
        assert str((-Money(long, "USD")).amount) == f"-{long}"


def test_a_lost_digit_is_an_error():
    with exact(), pytest.raises(Inexact):
        Decimal(1) / Decimal(3)


@pytest.mark.parametrize(
    ("dividend", "divisor", "quotient"),
    [
        ("1", "3", "0.333333333333"),
        ("2", "3", "0.666666666667"),
        ("1", "8", "0.125000000000"),
        ("0.0000000000005", "1", "0.000000000000"),
        ("0.0000000000015", "1", "0.000000000002"),
        ("-1", "3", "-0.333333333333"),
    ],
)
def test_division_rounds_half_even_to_twelve_places(dividend, divisor, quotient):
    assert divide(Decimal(dividend), Decimal(divisor)) == Decimal(quotient)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.500", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-12", "0.000000000001"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("10.0", "10"),
    ],
)
def test_a_value_has_one_spelling(value, text):
    assert plain(Decimal(value)) == text


@given(AMOUNTS)
def test_the_spelling_says_the_same_value(amount):
    assert Decimal(plain(amount)) == amount
    assert "E" not in plain(amount)
