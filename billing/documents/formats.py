"""How one customer reads numbers and dates: their language, the invoice's currency and zone."""

import re
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Self
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_interval
from babel.numbers import NumberPattern, get_currency_name

from aforo.money import EXACT, ZERO, exact, minor_units

ENGLISH = "en"
_SYMBOL_AT_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")  # CLDR wants a space there, babel puts none


@dataclass(frozen=True, slots=True)
class Formats:
    """Text of values, never with fewer digits than they have; raises Inexact instead.

    CLDR shows some currencies without their minor unit, and then the paper would not add up: the
    digits are those of ISO 4217.
    """

    locale: Locale
    currency: str
    zone: ZoneInfo

    @classmethod
    def of(cls, *, language: str, currency: str, time_zone: str) -> Self:
        """Formats of `language` (en, de-AT, pt_BR), English where nobody knows it."""
        return cls(_locale(language), currency, ZoneInfo(time_zone))

    def amount(self, value: Decimal) -> str:
        """Money as it is paid: with the currency's own decimals."""
        digits = minor_units(self.currency)
        return self._currency(value, digits, digits)

    def exact_amount(self, value: Decimal) -> str:
        """Money before rounding: all its decimals, and at least the currency's own."""
        digits = minor_units(self.currency)
        return self._currency(value, digits, max(digits, _decimals(value)))

    def quantity(self, value: Decimal) -> str:
        """A quantity with all its decimals."""
        pattern = self.locale.decimal_formats[None]
        return self._apply(pattern, value, 0, _decimals(value))

    def percent(self, value: Decimal) -> str:
        """A percentage with all its decimals: 7.5 is 7.5 %."""
        pattern = self.locale.percent_formats[None]
        return self._apply(pattern, EXACT.scaleb(value, -2), 0, _decimals(value))

    def day(self, day: date) -> str:
        """A day, short enough to stand in a sentence."""
        return format_date(day, "medium", locale=self.locale)

    def date(self, moment: datetime) -> str:
        """The day of `moment` in the invoice's zone."""
        return format_date(moment.astimezone(self.zone), "long", locale=self.locale)

    def period(
        self, start: datetime, end: datetime, *, between: str = "{start} to {end} ({zone})"
    ) -> str:
        """A half-open period: as its first and last day when it is made of whole days.

        `between` says how two moments are put together where it is not.
        """
        first, after = start.astimezone(self.zone), end.astimezone(self.zone)
        if first.time() == after.time() == time():
            last = after.date() - timedelta(days=1)
            return format_interval(first.date(), last, "yMMMd", locale=self.locale)
        return between.format(start=self._moment(start), end=self._moment(end), zone=self.zone.key)

    def currency_name(self) -> str:
        return get_currency_name(self.currency, count=2, locale=self.locale)

    def country(self, code: str) -> str:
        """The name of an ISO 3166 country; the code itself where it has none."""
        return str(self.locale.territories.get(code.upper(), code))

    def _moment(self, moment: datetime) -> str:
        return format_datetime(moment, "medium", tzinfo=self.zone, locale=self.locale)

    def _currency(self, value: Decimal, least: int, most: int) -> str:
        text = self._apply(self.locale.currency_formats["standard"], value, least, most)
        return _SYMBOL_AT_DIGIT.sub("\N{NO-BREAK SPACE}", text)

    def _apply(self, pattern: NumberPattern, value: Decimal, least: int, most: int) -> str:
        fitted = copy(pattern)
        fitted.frac_prec = (least, most)
        with exact():  # babel computes in the ambient context, which would lose digits in silence
            text = fitted.apply(
                value or ZERO, self.locale, currency=self.currency, currency_digits=False
            )
        return str(text)


def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale.parse(ENGLISH)


def _decimals(value: Decimal) -> int:
    """How many decimals `value` has without its trailing zeros."""
    with exact():
        exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
