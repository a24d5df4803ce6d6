"""The built-in table: which taxes a line bears, and where."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.pipeline import TaxFact, TaxRateFact
from billing.pipeline.tax_table import (
    EU,
    EXEMPT,
    REVERSE_CHARGE,
    NoTaxRate,
    Place,
    place_of,
    taxes_at,
)

MARCH = datetime(2026, 3, 31, tzinfo=UTC)


def rate(name, percent, country="DE", region="", *, code="", since=None, until=None):
    return TaxRateFact(name, country, region, code, Decimal(percent), since, until)


def fact(seller, buyer, **fields):
    return TaxFact("TABLE", seller_country=seller, buyer_country=buyer, **fields)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (fact("DE", "DE"), Place("DE")),
        (fact("DE", "DE", buyer_number="DE136695976"), Place("DE")),
        (fact("CA", "CA", buyer_region="BC"), Place("CA", "BC")),
        (fact("DE", "FR", buyer_number="FR40303265045"), Place(note=REVERSE_CHARGE)),
        (fact("DE", "FR"), Place("FR")),
        (fact("DE", "CH"), Place(note="No tax: export to CH")),
        (fact("DE", "CH", rates=(rate("VAT", 8, "CH"),)), Place(note="No tax: export to CH")),
        (fact("US", "CA"), Place(note="No tax: export to CA")),
        (fact("US", "FR"), Place(note="No tax: export to FR")),
        (fact("US", "FR", rates=(rate("VAT", 20, "FR"),)), Place("FR")),
        (fact("US", "FR", buyer_number="FR40303265045"), Place(note=REVERSE_CHARGE)),
        (fact("DE", "DE", exempt=True), Place(note=EXEMPT)),
        (fact("", "", exempt=True), Place(note=EXEMPT)),
    ],
)
def test_where_tax_is_due(given, expected):
    assert place_of(given) == expected


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (fact("", "DE"), "the billing entity has no country: where to tax is not known"),
        (fact("DE", ""), "the customer has no country: where to tax is not known"),
    ],
)
def test_no_place_is_guessed(given, reason):
    with pytest.raises(NoTaxRate, match=reason):
        place_of(given)


CANADA = (
    rate("GST", 5, "CA"),
    rate("PST", 7, "CA", "BC"),
    rate("QST", "9.975", "CA", "QC"),
    rate("HST", 13, "CA", "ON"),
    rate("GST", 0, "CA", "ON"),
    rate("GST", 0, "CA", code="FOOD"),
)
EUROPE = (
    rate("VAT", 19),
    rate("Reduced VAT", 7, code="BOOKS"),
    rate("VAT", 22, "PT"),
    rate("VAT", 16, "PT", "Azores"),
)


@pytest.mark.parametrize(
    ("rates", "place", "code", "expected"),
    [
        (CANADA, Place("CA", "BC"), "", [("GST", "5"), ("PST", "7")]),
        (CANADA, Place("CA", "QC"), "", [("GST", "5"), ("QST", "9.975")]),
        (CANADA, Place("CA", "ON"), "", [("GST", "0"), ("HST", "13")]),
        (CANADA, Place("CA", "AB"), "", [("GST", "5")]),
        (CANADA, Place("CA", "BC"), "FOOD", [("GST", "0"), ("PST", "7")]),
        (EUROPE, Place("DE"), "", [("VAT", "19")]),
        (EUROPE, Place("DE"), "BOOKS", [("Reduced VAT", "7")]),
        (EUROPE, Place("DE"), "FOOD", [("VAT", "19")]),
        (EUROPE, Place("DE", "Bavaria"), "", [("VAT", "19")]),
        (EUROPE, Place("PT", "Azores"), "", [("VAT", "16")]),
    ],
)
def test_the_most_specific_rates_win(rates, place, code, expected):
    found = taxes_at(place, rates, tax_code=code, at=MARCH)
    assert [(tax.name, str(tax.percent)) for tax in found] == expected


def test_a_rate_holds_from_its_first_moment_until_before_its_last():
    april = datetime(2026, 4, 1, tzinfo=UTC)
    rates = (rate("VAT", 19, until=april), rate("VAT", 21, since=april))

    def percent_at(moment):
        (tax,) = taxes_at(Place("DE"), rates, tax_code="", at=moment)
        return str(tax.percent)

    assert percent_at(MARCH) == "19"
    assert percent_at(april) == "21"


@pytest.mark.parametrize(
    ("rates", "code", "reason"),
    [
        ((), "", "the table has no rate for DE BW on 2026-03-31"),
        ((rate("VAT", 7, code="BOOKS"),), "FOOD",
         "the table has no rate of tax code 'FOOD' for DE BW on 2026-03-31"),
        ((rate("VAT", 19, since=datetime(2026, 4, 1, tzinfo=UTC)),), "",
         "the table has no rate for DE BW on 2026-03-31"),
    ],
)  # fmt: skip
def test_a_missing_rate_is_an_error_that_names_it(rates, code, reason):
    with pytest.raises(NoTaxRate, match=reason):
        taxes_at(Place("DE", "BW"), rates, tax_code=code, at=MARCH)


def test_the_union_has_27_members():
    assert len(EU) == 27
