"""Wording: what lines and charges say, in the words, figures and dates of one customer."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.documents.formats import Formats
from billing.documents.invoice import DocumentLine
from billing.documents.phrases import (
    ADJUSTMENTS,
    CELLS,
    CHARGES,
    LINES,
    NOTES,
    TAXES,
    Phrases,
    found_in,
)
from billing.documents.words import Words

_CELLS_ARE_THE_SENDERS = "MATRIX"  # its charges are called by values of events


@dataclass(frozen=True, slots=True)
class TaxSaid:
    """What a line of tax says of itself: which tax, at what rate, on or in how much."""

    key: str
    name: str
    percent: Decimal
    base: Decimal


def tax_said(line: DocumentLine) -> TaxSaid | None:
    """The tax that a line is of; None when it says something else, such as why there is none."""
    found = found_in(TAXES, line.description) if line.is_tax else None
    if found is None:
        return None
    key, said = found
    return TaxSaid(key, said["name"], Decimal(said["percent"]), Decimal(said["base"]))


@dataclass(frozen=True, slots=True)
class Wording:
    """One language and its figures. What no phrase fits is shown as it was stored."""

    words: Words
    formats: Formats

    def line(self, line: DocumentLine) -> str:
        """What a line is for; an adjustment names the period that it is of."""
        phrases = LINES.get(line.type, ())
        if line.period is None:
            return self._said(line.description, phrases)
        period = self.formats.period(*line.period, between=self.words["between"])
        return f"{self._said(line.description, (*ADJUSTMENTS, *phrases))} ({period})"

    def charge(self, label: str, *, model: str = "") -> str:
        """How a step of a price is called, by the pricing model of its line."""
        return self._said(label, CELLS if model == _CELLS_ARE_THE_SENDERS else CHARGES)

    def note(self, note: str) -> str:
        """Why there is no tax."""
        return self._said(note, NOTES)

    def tax(self, tax: TaxSaid) -> str:
        """A tax by its name and rate, and what it is of."""
        base, percent = self.formats.amount(tax.base), self.formats.percent(tax.percent)
        return self.words[tax.key].format(name=tax.name, percent=percent, base=base)

    def _said(self, text: str, phrases: Phrases) -> str:
        found = found_in(phrases, text)
        if found is None:
            return text
        key, varying = found
        shown = {name: self._shown(name, said, phrases) for name, said in varying.items()}
        return shown["percent"] if key == "percentage" else self.words[key].format_map(shown)

    def _shown(self, name: str, said: str, phrases: Phrases) -> str:
        """One varying part: names and numbers of invoices as they are, all else as it is read."""
        formats, shown = self.formats, said
        match name:
            case "line" | "label":
                shown = self._said(said, phrases)
            case "part" | "whole" | "count" | "measured" | "size" | "factor":
                shown = formats.quantity(Decimal(said.replace(",", "")))
            case "amount" | "price":
                shown = formats.exact_amount(Decimal(said))
            case "percent":
                shown = formats.percent(Decimal(said))
            case "start" | "end":
                shown = formats.day(date.fromisoformat(said))
            case "country":
                shown = formats.country(said)
        return shown
