"""The two values of the pipeline: Facts, read once before it runs, and the Draft it builds."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Self
from uuid import UUID

from aforo.money import ZERO, Money, exact
from catalog import pricing
from catalog.pricing import Charge, Terms


class LineType(StrEnum):
    """What an invoice line stands for, as it is written on the wire."""

    CHARGE = "CHARGE"
    USAGE_FEE = "USAGE_FEE"
    DISCOUNT = "DISCOUNT"
    TAX_ADJUSTMENT = "TAX_ADJUSTMENT"


@dataclass(frozen=True, slots=True)
class PlanFact:
    """What one pinned rate plan version asks for per full period, whatever the usage."""

    version_id: UUID
    name: str
    base_fee: Decimal = ZERO
    minimum_spend: Decimal = ZERO
    discount_percent: Decimal = ZERO
    discount_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class UsageFact:
    """One running total as it stood, locked, when the run read it."""

    running_total_id: int
    version_id: UUID
    unit_id: UUID
    unit_name: str
    unit_label: str
    dimension: str
    quantity: Decimal
    event_count: int
    position: int
    digest: bytes
    revenue: Decimal
    terms: Terms


@dataclass(frozen=True, slots=True)
class LateFact:
    """What a total of an earlier period has taken since it was billed, as it stood, locked.

    `before` is what was billed, `after` all there is: both of the earlier period, whose `terms`
    (already scaled to it) price them. The span is `first_position` to `last_position`.
    """

    running_total_id: int
    version_id: UUID
    plan_name: str
    unit_id: UUID
    unit_name: str
    unit_label: str
    dimension: str
    period_start: datetime
    period_end: datetime
    before: pricing.Usage
    after: pricing.Usage
    first_position: int
    last_position: int
    digest: bytes
    revenue: Decimal
    terms: Terms


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a subscription's period owes its price to. `seconds / whole_seconds` prorates.

    Plans and usage are put into one order when built, so that no invoice can tell in which order
    its rows were read: plans by name, usage by plan, unit and dimension, late usage by its period.
    """

    currency: str
    period_start: datetime
    period_end: datetime
    seconds: Decimal
    whole_seconds: Decimal
    billing_mode: str
    auto_finalize: bool
    plans: tuple[PlanFact, ...]
    usage: tuple[UsageFact, ...]
    late: tuple[LateFact, ...] = ()

    def __post_init__(self) -> None:
        plans = sorted(self.plans, key=lambda plan: (plan.name, plan.version_id))
        place = {plan.version_id: number for number, plan in enumerate(plans)}
        usage = sorted(
            self.usage,
            key=lambda fact: (
                place.get(fact.version_id, len(plans)),
                fact.unit_name,
                fact.unit_id,
                fact.dimension,
                fact.running_total_id,
            ),
        )
        late = sorted(
            self.late,
            key=lambda fact: (
                fact.period_start,
                fact.plan_name,
                fact.unit_name,
                fact.dimension,
                fact.running_total_id,
            ),
        )
        object.__setattr__(self, "plans", tuple(plans))
        object.__setattr__(self, "usage", tuple(usage))
        object.__setattr__(self, "late", tuple(late))

    @property
    def is_partial(self) -> bool:
        """Whether the period is shorter (or longer) than the one that prices are stated for."""
        return self.seconds != self.whole_seconds


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of one total on its way to a price: what is capped, free and billable of it."""

    fact: UsageFact
    cap: Decimal | None = None
    allowance: Decimal = ZERO
    rollover: Decimal = ZERO
    quantity: Decimal = ZERO
    free: Decimal = ZERO
    capped: Decimal = ZERO
    billable: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Line:
    """One invoice line: made by `stage`, exact before it was rounded, explained by charges.

    `fact` or `late` is the usage it bills: of the invoice's own period, or of an earlier one.
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


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice in the making; every stage returns a new one.

    `deferred` are totals whose credit this invoice has no room for: a later one will take it.
    """

    currency: str
    usage: tuple[Usage, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    deferred: tuple[int, ...] = ()
    to_invoice: Decimal | None = None
    finalize: bool = False

    def adding(self, *lines: Line) -> Self:
        return replace(self, lines=(*self.lines, *lines))

    def noting(self, *notes: str) -> Self:
        """Add what the stage wants its record to say; the runner clears notes between stages."""
        return replace(self, notes=(*self.notes, *notes))

    def total(
        self, *types: LineType, version_id: UUID | None = None, own_period: bool = False
    ) -> Decimal:
        """The sum of rounded lines: of the given types, of one plan, of all when none is named.

        `own_period` leaves out what earlier periods are billed for.
        """
        with exact():
            return sum(
                (
                    line.amount.amount
                    for line in self.lines
                    if (not types or line.type in types)
                    and (version_id is None or line.version_id == version_id)
                    and not (own_period and line.late)
                ),
                ZERO,
            )
