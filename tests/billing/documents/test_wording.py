"""Lines, charges and taxes in eight languages: nothing that is written is without a word."""

# ruff: noqa: E501 - a text and its translation are read side by side

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from billing.documents import DocumentLine
from billing.documents.formats import Formats
from billing.documents.phrases import CELLS, CHARGES, LINES, NOTES, TAXES, found_in
from billing.documents.wording import Wording, tax_said
from billing.documents.words import LANGUAGES, words_of
from tests.billing.documents.written import written_charges, written_lines

NAMES = {"plan", "deal", "calls", "save", "inv", "mwst", "usd", "utc", "eu", "model"}
LINES_WRITTEN, CHARGES_WRITTEN = written_lines(), sorted(set(written_charges()))
PHRASES = {phrase.key for group in (*LINES.values(), CHARGES, CELLS, TAXES) for phrase in group}


def wording(language, currency="USD"):
    formats = Formats.of(language=language, currency=currency, time_zone="UTC")
    return Wording(words_of(language), formats)


def said_in(language):
    """Everything written, line by line and step by step, as it is said in a language."""
    said = wording(language)
    for line in LINES_WRITTEN:
        tax = tax_said(line)
        text = said.note(line.description) if line.is_tax and tax is None else said.line(line)
        yield said.tax(tax) if tax else text
    for label, model in CHARGES_WRITTEN:
        yield said.charge(label, model=model)


def letters_of(text):
    return set(re.findall(r"[^\W\d_]{2,}", text.casefold()))


def test_everything_that_is_written_has_a_phrase_and_every_phrase_is_written():
    used = set()
    for line in LINES_WRITTEN:
        phrases = (*TAXES, *NOTES) if line.is_tax else LINES[line.type]
        text = line.description
        while found := found_in(phrases, text):
            used.add(found[0])
            text = found[1].get("line", "")
        assert not text or line.type == "USAGE_FEE" or text == "Plan 1: calls", text
    for text, _ in CHARGES_WRITTEN:
        rest = text
        while found := found_in((*CHARGES, *CELLS), rest):
            used.add(found[0])
            rest = found[1].get("label", "")
        assert rest in {"", "model tier, size 1"}
    old = {"included_and_rolled_over", "rolled_over"}  # of invoices made before grants were named
    assert PHRASES - used == old


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_no_word_is_left_in_english(language):
    own = letters_of(" ".join(LANGUAGES[language].values()))
    months = letters_of(" ".join(str(name) for name in _months(language)))
    for english, text in zip(said_in("en"), said_in(language), strict=True):
        foreign = letters_of(text) - own - months - NAMES
        if "tier, size" not in text:  # the sender's own values
            assert not foreign & letters_of(english), (english, text)


def _months(language):
    locale = wording(language).formats.locale
    return [*locale.months["format"]["abbreviated"].values(), *locale.territories.values()]


@pytest.mark.parametrize(
    ("language", "line", "text"),
    [
        ("en", "{} base fee, prorated to 15 of 30 days", "{} base fee, prorated to 15 of 30 days"),
        ("de", "{} base fee, prorated to 15 of 30 days", "{} Grundgebühr, anteilig für 15 von 30 Tagen"),
        ("nl", "{} base fee, prorated to 1,296 of 2,592 seconds", "{} basistarief, naar rato van 1.296 van 2.592 seconden"),
        ("es", "{} b: true-up to minimum spend of the term", "{} b: complemento hasta el gasto mínimo de la vigencia del contrato"),
        ("it", "{} calls, in advance, prorated to 10 of 31 days", "{} calls, anticipato, in proporzione a 10 di 31 giorni"),
        ("pt", "Fee for a base camp", "Fee for a base camp"),
    ],
)  # fmt: skip
def test_lines_are_said_in_the_customers_language(language, line, text):
    line = DocumentLine(line.format("Pro:"), Decimal(1), Decimal(1))
    assert wording(language).line(line) == text.format("Pro:")


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("overage, 8 blocks of 1000 at 0.5", "Mehrverbrauch, 8 Blöcke zu 1.000 à 0,50\xa0€"),
        ("2.5 %", "2,5\xa0%"),
        ("tier 2 flat fee (x 1.5)", "Stufe 2, Grundgebühr (x 1,5)"),
        (
            "rolled over from 2024-03-01, until 2024-05-01",
            "übertragen vom 01.03.2024, bis 01.05.2024",
        ),
        ("a label of another time", "a label of another time"),
    ],
)
def test_charges_have_the_figures_of_the_language(label, text):
    assert wording("de", "EUR").charge(label) == text


def test_values_of_events_are_never_taken_for_words():
    assert wording("de").charge("tier 1", model="MATRIX") == "tier 1"
    assert wording("de").charge("any other", model="MATRIX") == "alle übrigen"


def test_a_name_may_hold_what_would_be_a_place_in_a_phrase():
    line = DocumentLine("{line} %s {0}: base fee", Decimal(1), Decimal(1))
    assert wording("de").line(line) == "{line} %s {0}: Grundgebühr"


def test_only_a_line_of_another_period_is_called_an_adjustment():
    line = next(line for line in LINES_WRITTEN if line.period)
    assert wording("it").line(line).startswith("Plan 1: calls, rettifica (01")
    own = replace(line, period=None)
    assert wording("it").line(own) == "Plan 1: calls, adjustment"
