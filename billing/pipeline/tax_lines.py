"""Lines of tax: one for each tax of an invoice, rounded once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import EXACT, ZERO, Money, divide, exact, minor_units, plain, round_to_minor
from billing.pipeline.draft import Line, LineType
from billing.pipeline.tax_table import Tax

STAGE = "Tax"
CONTAINED = "Tax contained in the prices"
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class TaxAmount:
    """What one tax comes to over the whole invoice.

    `base` is without the tax; where prices are inclusive it is what the tax is contained in.
    """

    tax: Tax
    base: Decimal
    exact_amount: Decimal


def percent_of(taxes: Iterable[Tax]) -> Decimal:
    """What all taxes of a line together come to, in percent."""
    with exact():
        return sum((tax.percent for tax in taxes), ZERO)


def tax_amounts(
    bases: Iterable[tuple[Decimal, Sequence[Tax]]], *, inclusive: bool
) -> Sequence[TaxAmount]:
    """What each tax comes to over lines of given bases and taxes, by name and percentage.

    On top of the bases, to the last digit; contained in them, to 12 decimals.
    """
    grouped: dict[tuple[Tax, ...], Decimal] = {}
    for base, taxes in bases:
        grouped[tuple(taxes)] = EXACT.add(grouped.get(tuple(taxes), ZERO), base)
    found: dict[Tax, TaxAmount] = {}
    for taxes, base in grouped.items():
        for tax in taxes:
            amount = EXACT.multiply(base, tax.percent)
            if inclusive:
                amount = divide(amount, EXACT.add(_HUNDRED, percent_of(taxes)))
            else:
                amount = EXACT.scaleb(amount, -2)
            before = found.get(tax, TaxAmount(tax, ZERO, ZERO))
            found[tax] = TaxAmount(
                tax, EXACT.add(before.base, base), EXACT.add(before.exact_amount, amount)
            )
    return sorted(found.values(), key=lambda one: (one.tax.name, -one.tax.percent))


def tax_lines(
    amounts: Sequence[TaxAmount], *, currency: str, total: Decimal, inclusive: bool
) -> tuple[Sequence[Line], Sequence[str]]:
    """A line per tax, each rounded once; and what there is to note.

    Taxes on top of a `total` never make it fall below zero: those below zero are held to what there
    is to take them off. Contained ones leave it as it is: a credit takes out of the prices what the
    lines of tax add.
    """
    rounded = [round_to_minor(one.exact_amount, currency) for one in amounts]
    kept = rounded if inclusive else _held(rounded, total)
    lines = [
        _line(one, currency, amount, inclusive=inclusive, is_held=amount != wanted)
        for one, amount, wanted in zip(amounts, kept, rounded, strict=True)
    ]
    notes = [
        f"{line.description}: {plain(wanted)} held to {plain(amount)}"
        for line, amount, wanted in zip(lines, kept, rounded, strict=True)
        if amount != wanted
    ]
    with exact():
        contained = -sum(kept, ZERO)
    if inclusive and contained:
        money = Money(contained, currency)
        lines.insert(0, Line(STAGE, LineType.CREDIT, CONTAINED, money, contained))
    return lines, notes


def untaxed(note: str, currency: str) -> Line:
    """A line of no tax that says why on the paper: reverse charge, export, exemption."""
    nothing = Money(ZERO, currency).rounded()
    return Line(STAGE, LineType.TAX_ADJUSTMENT, note, nothing, ZERO, tax_percent=ZERO)


def _held(amounts: Sequence[Decimal], total: Decimal) -> Sequence[Decimal]:
    with exact():
        missing = -min(ZERO, total + sum(amounts, ZERO))
        kept = []
        for amount in amounts:
            added = min(missing, max(ZERO, -amount))
            missing -= added
            kept.append(amount + added)
    return kept


def _line(
    one: TaxAmount, currency: str, amount: Decimal, *, inclusive: bool, is_held: bool
) -> Line:
    base = f"{one.base:.{minor_units(currency)}f}"
    relation = "contained in" if inclusive else "on"
    return Line(
        STAGE,
        LineType.TAX_ADJUSTMENT,
        f"{one.tax.name} {plain(one.tax.percent)} % {relation} {base}",
        Money(amount, currency),
        amount if is_held else one.exact_amount,
        tax_percent=one.tax.percent,
    )
