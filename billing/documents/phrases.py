"""Phrases: how the pipeline and the pricing models put what they write, and what of it varies.

Lines and charges are stored as they were written, in English, and never change. A paper in another
language is told what they say by these forms; names and what no form fits stay as they are.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

_VARYING: Final = {
    "{part}": r"(?P<part>[\d,.]+)",
    "{whole}": r"(?P<whole>[\d,.]+)",
    "{percent}": r"(?P<percent>-?[\d.]+) %",
    "{base}": r"(?P<base>-?[\d.]+)",
    "{amount}": r"(?P<amount>-?[\d.]+)",
    "{price}": r"(?P<price>-?[\d.]+)",
    "{size}": r"(?P<size>[\d.]+)",
    "{count}": r"(?P<count>-?[\d.]+)",
    "{measured}": r"(?P<measured>-?[\d.]+)",
    "{factor}": r"(?P<factor>-?[\d.]+)",
    "{number}": r"(?P<number>\d+)",
    "{start}": r"(?P<start>\d{4}-\d\d-\d\d)",
    "{end}": r"(?P<end>\d{4}-\d\d-\d\d)",
    "{country}": r"(?P<country>[A-Z]{2})",
    "{invoice}": r"(?P<number>.+)",
    "{owner}": r"(?P<owner>.+)",
    "{line}": r"(?P<line>.+)",
    "{label}": r"(?P<label>.+)",
    "{name}": r"(?P<name>.+)",
    "{code}": r"(?P<code>.+)",
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """One form: the word that says it in every language, and what a text of it looks like."""

    key: str
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, key: str, form: str) -> Self:
        pattern = re.escape(form).replace(r"\{", "{").replace(r"\}", "}")
        for place, varying in _VARYING.items():
            pattern = pattern.replace(place, varying)
        return cls(key, re.compile(pattern, re.DOTALL))


Phrases = tuple[Phrase, ...]


def found_in(phrases: Iterable[Phrase], text: str) -> tuple[str, Mapping[str, str]] | None:
    """The word for `text` and what varies in it; None where no form fits."""
    for phrase in phrases:
        if found := phrase.pattern.fullmatch(text):
            return phrase.key, found.groupdict()
    return None


def _phrases(*forms: tuple[str, str]) -> Phrases:
    return tuple(Phrase.of(key, form) for key, form in forms)


_SHARE = _phrases(
    ("prorated_days", "{line}, prorated to {part} of {whole} days"),
    ("prorated_seconds", "{line}, prorated to {part} of {whole} seconds"),
)
_OF_TERM = _phrases(("of_term", "{line} of the term"))
_BASE_FEE = _phrases(("base_fee", "{owner}: base fee"))

LINES: Final[Mapping[str, Phrases]] = {
    "CHARGE": (
        *_SHARE,
        *_OF_TERM,
        *_BASE_FEE,
        *_phrases(
            ("in_advance", "{line}, in advance"),
            ("true_up", "{owner}: true-up to minimum spend"),
            ("discount_given_back", "{owner}: discount of {percent} on what is given back"),
            ("discounts_given_back", "{owner}: discounts on what is given back"),
        ),
    ),
    "USAGE_FEE": (*_SHARE, *_phrases(("paid_in_advance", "{line}, paid in advance"))),
    "SETUP_FEE": _phrases(("setup_fee", "{owner}: setup fee")),
    "PRORATION": (
        *_phrases(
            ("share_days", "{line}, {part} of {whole} days"),
            ("share_seconds", "{line}, {part} of {whole} seconds"),
            ("unused", "{line}, unused part of what was paid"),
        ),
        *_BASE_FEE,
    ),
    "CREDIT": (
        *_SHARE,
        *_OF_TERM,
        *_phrases(
            ("above_maximum", "{owner}: above the maximum spend"),
            ("usage_so_far_unnumbered", "Usage so far: asked for with an earlier invoice"),
            ("usage_so_far", "Usage so far: asked for with {invoice}"),
            ("tax_contained", "Tax contained in the prices"),
        ),
    ),
    "DISCOUNT": _phrases(
        ("coupon_percent", "coupon {code}: discount of {percent}"),
        ("coupon_amount", "coupon {code}: discount"),
        ("discount_percent", "{owner}: discount of {percent}"),
        ("discount_amount", "{owner}: discount"),
    ),
}
ADJUSTMENTS: Final = _phrases(("adjustment", "{line}, adjustment"))
TAXES: Final = _phrases(
    ("tax_in", "{name} {percent} contained in {base}"), ("tax_on", "{name} {percent} on {base}")
)
NOTES: Final = _phrases(
    ("reverse_charge", "Reverse charge, Article 196 Council Directive 2006/112/EC"),
    ("reverse_charge", "Reverse charge"),
    ("exempt", "The customer is exempt from tax"),
    ("export", "No tax: export to {country}"),
)

_OF_ANY = _phrases(
    ("times", "{label} (x {factor})"),
    ("all_usage", "all usage of the period"),
    ("billed_before", "billed before"),
)
CELLS: Final = (*_OF_ANY, *_phrases(("any_other", "any other")))  # the rest is the sender's own
CHARGES: Final = (
    *_OF_ANY,
    *_phrases(
        ("percentage", "{percent}"),
        ("included", "included"),
        ("included_and_rolled_over", "included and rolled over"),
        ("units", "units"),
        ("flat_rate", "flat rate"),
        ("overage", "overage"),
        ("transactions", "transactions"),
        ("free_amount", "free amount"),
        ("free_transactions", "free transactions"),
        ("tier", "tier {number}"),
        ("tier_fee", "tier {number} flat fee"),
        ("all_at_tier", "all units at tier {number}"),
        ("step", "step {number}"),
        ("beyond_limit", "beyond the limit, not billable"),
        ("overage_free", "overage, not charged"),
        ("overage_block", "overage, {count} block of {size} at {price}"),
        ("overage_blocks", "overage, {count} blocks of {size} at {price}"),
        ("free_of_charge", "free of charge"),
        ("minimum_fee", "minimum fee of {amount}"),
        ("maximum_fee", "maximum fee of {amount}"),
        ("at_minimum", "transactions at the minimum of {amount}"),
        ("at_maximum", "transactions at the maximum of {amount}"),
        ("event_amounts", "amounts of the events"),
        ("markup", "markup of {percent}"),
        ("measured", "{count} counted, {measured} to be priced"),
        ("rolled_over_from", "rolled over from {start}, until {end}"),
        ("rolled_over", "rolled over"),
        ("beyond_cap", "beyond the hard cap, not billable"),
        ("left_over", "left over, to be used until {end}"),
    ),
)
