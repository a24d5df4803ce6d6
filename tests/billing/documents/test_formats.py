"""Numbers and dates as customers read them."""

from datetime import UTC, datetime
from decimal import Decimal, Inexact

import pytest

from billing.documents.formats import Formats

LARGEST = "123456789012345678901234.123456789012"
LARGEST_SHOWN = "123,456,789,012,345,678,901,234.123456789012"


def formats(language="en", currency="USD", time_zone="UTC"):
    return Formats.of(language=language, currency=currency, time_zone=time_zone)


def spaced(text):
    """`text` with plain spaces, as somebody would type it."""
    return text.replace("\u202f", " ").replace("\xa0", " ").replace("\u2009", " ")


@pytest.mark.parametrize(
    ("language", "currency", "value", "text"),
    [
        ("en", "USD", "63.07", "$63.07"),
        ("en", "USD", "63.0700", "$63.07"),
        ("en", "USD", "-0.00", "$0.00"),
        ("en", "USD", "-1234.5", "-$1,234.50"),
        ("en", "KWD", "-1.5", "-KWD 1.500"),
        ("de-DE", "EUR", "1234.5", "1.234,50 €"),
        ("fr_FR", "EUR", "1234.5", "1 234,50 €"),
        ("de-AT", "EUR", "1234.5", "€ 1.234,50"),
        ("en", "JPY", "1234", "¥1,234"),
        ("en", "KWD", "1.234", "KWD 1.234"),
        ("en", "AFN", "12.34", "AFN 12.34"),
        ("tlh", "USD", "5", "$5.00"),
        ("", "USD", "5", "$5.00"),
        ("../../etc", "USD", "5", "$5.00"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(language, currency, value, text):
    assert spaced(formats(language, currency).amount(Decimal(value))) == text


@pytest.mark.parametrize(("currency", "value"), [("USD", "1.001"), ("JPY", "0.5")])
def test_an_amount_that_was_not_rounded_is_not_shown(currency, value):
    with pytest.raises(Inexact):
        formats(currency=currency).amount(Decimal(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("3.000000", "$3.00"),
        ("1.368192", "$1.368192"),
        ("0.0000025", "$0.0000025"),
        ("1E+3", "$1,000.00"),
        (LARGEST, f"${LARGEST_SHOWN}"),
    ],
)
def test_exact_amounts_keep_every_digit(value, text):
    assert formats().exact_amount(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("1764", "1,764"), ("0.50", "0.5"), (LARGEST, LARGEST_SHOWN)],
)
def test_quantities_keep_every_digit(value, text):
    assert formats().quantity(Decimal(value)) == text


@pytest.mark.parametrize(
    ("start", "end", "time_zone", "text"),
    [
        ("2023-11-01T00:00", "2023-12-01T00:00", "UTC", "Nov 1 \u2013 30, 2023"),
        ("2023-12-15T00:00", "2024-01-15T00:00", "UTC", "Dec 15, 2023 \u2013 Jan 14, 2024"),
        ("2023-10-31T23:00", "2023-11-30T23:00", "Europe/Berlin", "Nov 1 \u2013 30, 2023"),
        (
            "2023-11-16T18:15",
            "2023-12-01T00:00",
            "UTC",
            "Nov 16, 2023, 6:15:00 PM to Dec 1, 2023, 12:00:00 AM (UTC)",
        ),
    ],
)
def test_a_period_of_whole_days_ends_with_its_last_day(start, end, time_zone, text):
    period = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (start, end))
    assert spaced(formats(time_zone=time_zone).period(*period)) == text


def test_a_day_is_that_of_the_sellers_zone():
    moment = datetime(2023, 11, 30, 23, 30, tzinfo=UTC)
    assert formats("de", time_zone="Europe/Berlin").date(moment) == "1. Dezember 2023"
