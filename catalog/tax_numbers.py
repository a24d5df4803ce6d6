"""VAT numbers: checked by the rules of their country, and spelt in one way."""

from stdnum import get_cc_module
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from aforo.errors import Refused

EU_COUNTRIES = frozenset(code.upper() for code in vat.MEMBER_STATES) - {"XI"}
_PREFIXES = {"GR": "EL"}  # the one country whose VAT numbers begin otherwise


def checked_tax_number(country: str, text: str, *, field: str = "taxNumber") -> str:
    """`text` as VAT numbers of `country` are written: "de 136 695 976" is DE136695976 in Germany.

    Only in the EU does a number decide on tax. Elsewhere, or where the country is not known yet, it
    is kept as it was given. Raises Refused naming `field` for what is no VAT number of its member
    state; whether a number is registered is not asked.
    """
    given, country = text.strip(), country.upper()
    if not given or country not in EU_COUNTRIES:
        return given
    found = valid_vat_number(country, given)
    if not found:
        raise Refused.naming(field, "INVALID", f"'{given[:40]}' is no VAT number of {country}")
    return found


def valid_vat_number(country: str, text: str) -> str:
    """The VAT number of a member state of the EU that `text` spells; empty when it spells none."""
    if country not in EU_COUNTRIES or not text:
        return ""
    prefix = _PREFIXES.get(country, country)
    rules = get_cc_module(country, "vat")
    if rules is None:
        return ""
    try:
        number = rules.validate(text)
    except ValidationError:
        return ""
    return prefix + number.removeprefix(country).removeprefix(prefix)
