"""How much of each limited unit is used: one field per unit and period, of all its dimensions.

Its version is the sum of the positions of its totals: it grows with every event that is counted.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from aforo.money import plain
from catalog.models.billable_units import Aggregation
from metering.entitlements.standing import use_field, written_use
from metering.entitlements.state import Field, Version

# Of several dimensions the largest counts: levels and averages cannot be added.
_NOT_SUMMED = frozenset(
    {Aggregation.MAX, Aggregation.LATEST, Aggregation.AVG, Aggregation.PERCENTILE_95}
)
# Joined by what the unique index of totals begins with.
_USES = """
    SELECT r.period_id, r.unit_id, sum(r.quantity), max(r.quantity), max(r.rollover),
           sum(r."position")::bigint
    FROM unnest(%s::uuid[], %s::uuid[]) AS asked(period, unit)
    JOIN running_totals r ON r.period_id = asked.period AND r.unit_id = asked.unit
    GROUP BY 1, 2
"""
Pair = tuple[UUID, UUID]
"""Period and unit."""


class Use(NamedTuple):
    """What the totals of a unit in a period say together."""

    period_id: UUID
    unit_id: UUID
    quantity: Decimal
    most: Decimal  # of one of them
    rollover: Decimal
    position: int

    def field(self, aggregation: str, *, started: int) -> Field:
        """As access checks find it."""
        quantity = self.most if aggregation in _NOT_SUMMED else self.quantity
        return Field(
            use_field(self.period_id.hex, self.unit_id.hex),
            Version(started, self.position),
            written_use(plain(quantity), plain(self.rollover)),
        )


def uses_of(pairs: Collection[Pair]) -> list[Use]:
    """What is used in each period of each unit, in one statement; absent where nothing was."""
    if not pairs:
        return []
    periods, units = zip(*pairs, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_USES, (list(periods), list(units)))
        return [Use(*row) for row in cursor.fetchall()]
