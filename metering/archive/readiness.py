"""Which months of events may leave, and what keeps the others."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from aforo.periods import add_months, month_start
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from metering.models import ArchivedMonth
from metering.services.partitions import MONTHS_BEHIND

_PARTITIONS = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = %s::regclass ORDER BY c.relname
"""
_NAME = re.compile(r"_(\d{4})(\d{2})$")
# What came after the watermark waits for the next invoice.
_UNBILLED = """
    SELECT count(*) FROM running_totals t JOIN subscription_periods p ON p.id = t.period_id
    WHERE p.start_at < %(end)s AND p.end_at > %(start)s
      AND t."position" > coalesce(t.billed_position, 0)
"""
_HELD = """
    SELECT count(*) FROM held_events
    WHERE status = 'WAITING' AND occurred_at >= %(start)s AND occurred_at < %(end)s
"""


@dataclass(frozen=True, slots=True)
class Month:
    """One month's partition; it may leave when nothing is `kept_by`."""

    start: datetime
    partition: str
    kept_by: tuple[str, ...] = ()

    @property
    def end(self) -> datetime:
        return add_months(self.start, 1)


def months_of(table: str, *, before: datetime) -> list[Month]:
    """The months of a partitioned table that end at `before` or earlier, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONS, (table,))
        names = [name for (name,) in cursor.fetchall()]
    found = [(name, _NAME.search(name)) for name in names]
    months = [
        Month(datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC), name)
        for name, match in found
        if match
    ]
    return sorted((month for month in months if month.end <= before), key=lambda one: one.start)


def judged(months: list[Month], *, now: datetime) -> Iterator[Month]:
    """The same, each with what keeps it."""
    earliest = _earliest_clock(now)
    for month in months:
        yield Month(month.start, month.partition, tuple(_reasons(month, earliest)))


def _reasons(month: Month, earliest: datetime) -> Iterator[str]:
    bounds = {"start": month.start, "end": month.end}
    if ArchivedMonth.objects.filter(month=month.start.date()).exists():  # any tenant: everybody's
        yield "it was archived before, and another file must not take the place of that one"
    if month.end > add_months(month_start(earliest), -MONTHS_BEHIND):
        yield f"a tenant's clock stands at {earliest:%Y-%m-%d}, and may count events of it"
    with connection.cursor() as cursor:
        cursor.execute(_UNBILLED, bounds)
        (unbilled,) = cursor.fetchone()
        cursor.execute(_HELD, bounds)
        (held,) = cursor.fetchone()
    if unbilled:
        yield f"{unbilled} running totals that reach into it are not billed to their end"
    if held:
        yield f"{held} held events of it wait for a decision"


def _earliest_clock(now: datetime) -> datetime:
    """Where the clock that is furthest behind stands."""
    sandboxes = Tenant.objects.filter(live_twin__isnull=False)
    return min([now, *(clock.at(tenant, now) for tenant in sandboxes)])
