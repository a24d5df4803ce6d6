"""Currencies, countries and time zones: chosen by name, not typed by code."""

from collections.abc import Sequence
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from babel import Locale
from django import forms
from django.http import HttpRequest
from django.utils.text import capfirst
from iso4217 import Currency
from unfold.widgets import UnfoldAdminSelectWidget

Choices = Sequence[tuple[str, str]]
_COUNTRY = 2  # letters; the territories with digits are continents


@cache
def currencies() -> Choices:
    """Those that have a minor unit: the others cannot be invoiced."""
    usable = (one for one in Currency if one.exponent is not None)
    return sorted((one.code, f"{one.code}, {one.currency_name}") for one in usable)


@cache
def countries() -> Choices:
    names = Locale("en").territories.items()
    return sorted(
        ((code, f"{name} ({code})") for code, name in names if _is_country(code)),
        key=lambda choice: choice[1],
    )


@cache
def time_zones() -> Choices:
    return sorted((name, name.replace("_", " ")) for name in available_timezones())


_LISTS = {"currency": currencies, "country": countries, "time_zone": time_zones}


class ChoosesCodes:
    """For pages and inlines whose columns hold such codes."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        known = _LISTS.get(db_field.name)
        if known is None:
            return super().formfield_for_dbfield(  # type: ignore[misc]  # of the page
                db_field, request, **kwargs
            )
        return forms.ChoiceField(
            choices=[("", "---------"), *known()],
            required=not db_field.blank,
            label=kwargs.get("label", capfirst(db_field.verbose_name)),
            help_text=kwargs.get("help_text", db_field.help_text),
            initial=db_field.get_default(),
            widget=UnfoldAdminSelectWidget,
        )


def _is_country(code: str) -> bool:
    return len(code) == _COUNTRY and code.isalpha() and code not in {"ZZ", "EU", "EZ", "UN"}
