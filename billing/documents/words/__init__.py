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


def words_of(language: str) -> Words:
    """The words of a language (de, de-AT, pt_BR); English where nobody has written them."""
    return LANGUAGES.get(_base(language), english.WORDS)


def has_words(language: str) -> bool:
    return _base(language) in LANGUAGES


def _base(language: str) -> str:
    return re.split("[-_]", language)[0].lower()
