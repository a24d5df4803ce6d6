"""Draft: the invoice in the making, which the stages hand on from one to the next."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Self
from uuid import UUID

from aforo.money import EXACT, ZERO, Money, exact
from billing.pipeline.facts import LateFact, UsageFact
from catalog.pricing import Charge, Terms


class LineType(StrEnum):
    """What an invoice line stands for, as it is written on the wire."""

    CHARGE = "CHARGE"
    USAGE_FEE = "USAGE_FEE"
    SETUP_FEE = "SETUP_FEE"
    PRORATION = "PRORATION"
    CREDIT = "CREDIT"
    DISCOUNT = "DISCOUNT"
    TAX_ADJUSTMENT = "TAX_ADJUSTMENT"


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of one total on its way to a price: what is capped, free and billable of it.

    `quantity` is as counted; all else is measured as the terms do it: divided, rounded.
    """

    fact: UsageFact
    cap: Decimal | None = None
    allowance: Decimal = ZERO
    rollover: Decimal = ZERO
    quantity: Decimal = ZERO
    measured: Decimal = ZERO
    free: Decimal = ZERO
    capped: Decimal = ZERO
    billable: Decimal = ZERO
    granted: Decimal = ZERO  # own units left over, for later periods
    passed_on: Decimal = ZERO  # those, and what is left of older ones


@dataclass(frozen=True, slots=True)
class Line:
    """One invoice line: made by `stage`, exact before it was rounded, explained by charges.

    `fact` or `late` is the usage it bills: of the invoice's own period, or of an earlier one. Its
    `terms`, of gross usage, come to the exact amount.
    """

    stage: str
    type: LineType
    description: str
    amount: Money
    exact_amount: Decimal
    version_id: UUID | None = None
    unit_id: UUID | None = None
    quantity: Decimal | None = None
    charges: tuple[Charge, ...] = ()
    fact: UsageFact | None = None
    late: LateFact | None = None
    tax_code: str = ""
    tax_percent: Decimal | None = None
    of_line: int | None = None  # number, from 1, of the line that a tax or a discount is of
    covers: tuple[datetime, datetime] | None = None  # of a fee in advance
    ahead: bool | None = None  # a fee of the next period; a discount of those alone, or of others
    terms: Terms | None = None
    taken_off: Decimal = ZERO  # of a fee given back: what others than its plan had taken off it


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice in the making; every stage returns a new one.

    `deferred` are totals whose credit this invoice has no room for: a later one will take it.
    `granted` are units that roll over, by total; `used` the units of grants that are used up;
    `passed_on`, by total, all that later periods may use now: what was granted, and what is left of
    older grants. `redeemed` is what coupons took off, by redemption. `lost` is what discounts and
    credits of these lines had nothing left to be taken off, by what they are. An invoice with
    `tax_pending` stays a draft.
    """

    currency: str
    usage: tuple[Usage, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    deferred: tuple[int, ...] = ()
    granted: tuple[tuple[int, Decimal], ...] = ()
    used: tuple[tuple[UUID, Decimal], ...] = ()
    passed_on: tuple[tuple[int, Decimal], ...] = ()
    redeemed: tuple[tuple[UUID, Decimal], ...] = ()
    lost: tuple[tuple[tuple[str, UUID | None], Decimal], ...] = ()
    tax_pending: bool = False
    to_invoice: Decimal | None = None
    finalize: bool = False

    def adding(self, *lines: Line) -> Self:
        return replace(self, lines=(*self.lines, *lines))

    def noting(self, *notes: str) -> Self:
        """Add what the stage wants its record to say; the runner clears notes between stages."""
        return replace(self, notes=(*self.notes, *notes))

    def losing(self, line: Line, wanted: Decimal) -> Self:
        """Note what `line`, a discount or credit of `wanted`, could not take off, as rounded."""
        rounded = Money(wanted, self.currency).rounded().amount
        missing = EXACT.add(rounded, line.amount.amount)
        if missing <= ZERO:
            return self
        what = (line.description, line.version_id)
        known = dict(self.lost)
        return replace(
            self, lost=tuple((known | {what: EXACT.add(known.get(what, ZERO), missing)}).items())
        )

    def total(
        self, *types: LineType, version_id: UUID | None = None, own_period: bool = False
    ) -> Decimal:
        """The sum of rounded lines: of the given types, of one plan, of all when none is named.

        `own_period` leaves out what earlier and later periods are billed for.
        """
        with exact():
            return sum(
                (
                    line.amount.amount
                    for line in self.lines
                    if (not types or line.type in types)
                    and (version_id is None or line.version_id == version_id)
                    and not (own_period and (line.late or line.covers))
                ),
                ZERO,
            )
