"""Countries by their codes of ISO 3166, two letters each."""

from functools import cache

from babel import Locale

# Two letters in the CLDR, and no country: unions, parts of one, and "unknown".
_NO_COUNTRIES = frozenset({"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA",
                           "XB", "ZZ"})  # fmt: skip


def is_country(code: str) -> bool:
    """Whether `code` is one, in capitals or not."""
    return code.upper() in _codes()


@cache
def _codes() -> frozenset[str]:
    codes = (str(code) for code in Locale("en").territories)
    of_two = {code for code in codes if len(code) == 2 and code.isalpha()}  # noqa: PLR2004 - the others are continents
    return frozenset(of_two - _NO_COUNTRIES)
