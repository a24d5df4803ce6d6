"""Tax: each line by the built-in table, or by an external engine that is asked later."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import Facts
from billing.pipeline.tax_base import Part, taxable_bases
from billing.pipeline.tax_lines import percent_of, tax_amounts, tax_lines, untaxed
from billing.pipeline.tax_table import Tax, place_of, taxes_at

_INSTANT = timedelta(microseconds=1)


def add_tax(draft: Draft, facts: Facts) -> Draft:
    """Add a line per tax, and to each taxed line its percentage.

    Without a table or an engine there is no tax. An external engine is not asked here: the draft
    waits for it. Raises NoTaxRate when tax is due and the table does not say how much.
    """
    if facts.tax.engine == "NONE":
        return draft.noting("no tax engine configured")
    parts = [Part.of(number, line) for number, line in enumerate(draft.lines, start=1)]
    bases = taxable_bases(parts, draft.currency)
    if not bases:
        return draft.noting("nothing to tax")
    if facts.tax.engine == "HTTP" and not facts.tax.exempt:
        return replace(draft, tax_pending=True).noting("left to the external tax engine")
    place = place_of(facts.tax)
    if place.note:
        return draft.adding(untaxed(place.note, draft.currency)).noting(place.note)
    taxes = {
        part.number: taxes_at(
            place,
            facts.tax.rates,
            tax_code=part.tax_code,
            at=supplied_at(draft.lines[part.number - 1], facts),
        )
        for part in bases
    }
    return _taxed(draft, facts, {part.number: base for part, base in bases.items()}, taxes)


def supplied_at(line: Line, facts: Facts) -> datetime:
    """The moment whose rates hold for `line`.

    Usage is supplied when its period ends, be it an earlier one; a fee in advance when the period
    that it pays for begins, and a setup fee when this one does.
    """
    if line.covers is not None:
        return line.covers[0]
    if line.type is LineType.SETUP_FEE:
        return facts.period_start
    return (facts.period_end if line.late is None else line.late.period_end) - _INSTANT


def _taxed(
    draft: Draft,
    facts: Facts,
    bases: Mapping[int, Decimal],
    taxes: Mapping[int, Sequence[Tax]],
) -> Draft:
    amounts = tax_amounts(
        ((bases[number], taxes[number]) for number in bases), inclusive=facts.tax.inclusive
    )
    lines, held = tax_lines(
        amounts, currency=draft.currency, total=draft.total(), inclusive=facts.tax.inclusive
    )
    percents = {number: percent_of(found) for number, found in taxes.items()}
    before = tuple(
        replace(line, tax_percent=percents.get(number, line.tax_percent))
        for number, line in enumerate(draft.lines, start=1)
    )
    return replace(draft, lines=(*before, *lines)).noting(
        *(line.description for line in lines), *held
    )
