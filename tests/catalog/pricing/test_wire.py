"""Which terms are refused, and that the refusal names the field."""

from decimal import Decimal

import pytest

from catalog.pricing import MODELS, InvalidTerms, parse_terms

PER_UNIT = {"model": "PER_UNIT", "rate": 1}
QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": 10, "rate": 1}


@pytest.mark.parametrize(
    ("terms", "field", "reason"),
    [
        ({}, "model", "is required"),
        ({"model": None}, "model", "is required"),
        ({"model": "per_unit"}, "model", f"must be one of {', '.join(MODELS)}"),
        ({"model": ["PER_UNIT"]}, "model", f"must be one of {', '.join(MODELS)}"),
        ({"model": "PER_UNIT"}, "rate", "is required"),
        ({"model": "PER_UNIT", "rate": None}, "rate", "is required"),
        ({**PER_UNIT, "colour": "red"}, "colour", "is not a term of PER_UNIT"),
        ({**PER_UNIT, "includedFree": -1}, "includedFree", "must not be negative"),
        ({"model": "FLAT_RATE"}, "flatRate", "is required"),
        ({"model": "FLAT_RATE", "flatRate": 1, "rate": 0}, "rate", "is not a term of FLAT_RATE"),
        ({"model": "PERCENTAGE"}, "ratePercent", "is required"),
        ({"model": "INCLUDED_QUOTA", "rate": 1}, "includedFree", "is required"),
        ({"model": "INCLUDED_QUOTA", "includedFree": 1}, "rate", "is required"),
        ({**QUOTA, "blockSize": 0}, "blockSize", "must be above 0"),
        ({**QUOTA, "blockSize": -5}, "blockSize", "must be above 0"),
        ({**QUOTA, "ovBehavior": "ALLOW"}, "ovBehavior", "must be one of CHARGE, BLOCK, IGNORE"),
        ({**QUOTA, "ovBehavior": 1}, "ovBehavior", "must be one of CHARGE, BLOCK, IGNORE"),
    ],
)
def test_a_refusal_names_the_field_and_the_fact(terms, field, reason):
    with pytest.raises(InvalidTerms) as refusal:
        parse_terms(terms)
    assert (refusal.value.field, refusal.value.reason) == (field, reason)
    assert str(refusal.value) == f"{field}: {reason}"


@pytest.mark.parametrize(
    "terms",
    [
        {"model": "PER_UNIT", "rate": -1},
        {"model": "FLAT_RATE", "flatRate": "-0.01"},
        {"model": "PERCENTAGE", "ratePercent": -1},
        {"model": "INCLUDED_QUOTA", "includedFree": 5, "rate": -1},
        {"model": "GRADUATED", "tiers": [{"unitPrice": -1}]},
        {"model": "VOLUME_TIERED", "tiers": [{"unitPrice": 1, "flatFee": -1}]},
        {"model": "STAIRSTEP", "steps": [{"tierEnd": 5, "price": -1}], "overageRate": 1},
        {"model": "STAIRSTEP", "steps": [{"tierEnd": 5, "price": 1}], "overageRate": -1},
        {"model": "GRADUATED_PERCENTAGE", "tiers": [{"ratePercent": -1}]},
    ],
)
def test_money_below_zero_needs_a_plan_that_allows_credits(terms):
    with pytest.raises(InvalidTerms, match="must not be negative, as this plan allows no credits"):
        parse_terms(terms)
    credit = parse_terms(terms, credits_allowed=True)
    assert parse_terms(credit.as_dict(), credits_allowed=True) == credit


def test_a_credit_is_paid_out_per_unit():
    terms = parse_terms({"model": "PER_UNIT", "rate": "-0.5"}, credits_allowed=True)
    assert terms.charge(Decimal(3)) == Decimal("-1.5")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.5, "must not be a float, which is not exact: send it as text"),
        (True, "must be a number"),
        ([], "must be a number"),
        ("", "must be a number"),
        ("abc", "must be a number"),
        (" 1", "must be a number"),
        ("1_000", "must be a number"),
        ("٣", "must be a number"),
        ("1\x00", "must be a number"),
        ("NaN", "must be a number"),
        ("Infinity", "must be a number"),
        ("1e9999", "must be a number"),
        (Decimal("NaN"), "must be a finite number"),
        (Decimal("sNaN"), "must be a finite number"),
        (Decimal("Infinity"), "must be a finite number"),
        ("0.0000000000001", "must have at most 12 decimals"),
        (Decimal("1E-999999"), "must have at most 12 decimals"),
        (10**26, "must have at most 26 digits before the point"),
        pytest.param(10**5000, "must have at most 26 digits before the point", id="5001 digits"),
        ("1e26", "must have at most 26 digits before the point"),
        (Decimal("1E+999999"), "must have at most 26 digits before the point"),
    ],
)
def test_what_is_not_an_exact_number_of_the_agreed_size_is_refused(value, reason):
    with pytest.raises(InvalidTerms) as refusal:
        parse_terms({"model": "PER_UNIT", "rate": value})
    assert (refusal.value.field, refusal.value.reason) == ("rate", reason)


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        (5, "5"),
        ("5.10", "5.1"),
        ("5.1000000000000000", "5.1"),
        ("1e3", "1000"),
        ("2.5E-3", "0.0025"),
        (Decimal("1E+3"), "1000"),
        ("0", "0"),
        ("0e99", "0"),
        ("-0", "0"),
        ("0.000000000001", "0.000000000001"),
        ("99999999999999999999999999.999999999999", "99999999999999999999999999.999999999999"),
    ],
)
def test_a_number_may_be_an_int_text_or_decimal_and_is_spelt_plainly(value, spelling):
    assert parse_terms({"model": "PER_UNIT", "rate": value}).as_dict()["rate"] == spelling


def test_null_is_the_same_as_absent():
    terms = {**QUOTA, "blockSize": None, "ovBehavior": None, "colour": None}
    assert parse_terms(terms) == parse_terms(QUOTA)


def test_flags_are_booleans():
    terms = {"model": "GRADUATED", "tiers": [{"unitPrice": 1}], "billZeroTier": "yes"}
    with pytest.raises(InvalidTerms, match="billZeroTier: must be true or false"):
        parse_terms(terms)
