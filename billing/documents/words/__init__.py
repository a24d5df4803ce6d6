"""The words of an invoice, language by language; figures and dates are those of `formats`."""

import re
from collections.abc import Mapping
from typing import Final

from billing.documents.words import (
    dutch,
    english,
    french,
    german,
    italian,
    japanese,
    portuguese,
    spanish,
)

Words = Mapping[str, str]
LANGUAGES: Final[Mapping[str, Words]] = {
    "de": german.WORDS,
    "en": english.WORDS,
    "es": spanish.WORDS,
    "fr": french.WORDS,
    "it": italian.WORDS,
    "ja": japanese.WORDS,
    "nl": dutch.WORDS,
    "pt": portuguese.WORDS,
}
_CHARGES = {  # how charges are called where prices are made: whatever else is left as it is
    "included": "included",
    "included and rolled over": "included_and_rolled_over",
    "units": "units",
    "flat rate": "flat_rate",
    "overage": "overage",
    "transactions": "transactions",
    "free amount": "free_amount",
    "free transactions": "free_transactions",
    "tier #": "tier",
    "tier # flat fee": "tier_fee",
    "all units at tier #": "all_at_tier",
    "step #": "step",
}
_NOTES = {"Reverse charge": "reverse_charge", "The customer is exempt": "exempt"}
_NUMBER = re.compile(r"\d+")


def words_of(language: str) -> Words:
    """The words of a language (de, de-AT, pt_BR); English where nobody has written them."""
    return LANGUAGES.get(_base(language), english.WORDS)


def has_words(language: str) -> bool:
    return _base(language) in LANGUAGES


def _base(language: str) -> str:
    return re.split("[-_]", language)[0].lower()


def charge_in(words: Words, label: str) -> str:
    """How a charge is called; one that has no word is called as it was when it was priced."""
    known = _CHARGES.get(_NUMBER.sub("#", label, count=1))
    if known is None:
        return label
    found = _NUMBER.search(label)
    return words[known].format(number=found[0] if found else "")


def note_in(words: Words, note: str) -> str:
    """Why there is no tax; in the words of the language where they are known."""
    for beginning, key in _NOTES.items():
        if note.startswith(beginning):
            return words[key]
    return note
