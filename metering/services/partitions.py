"""Monthly partitions of what grows: made ahead of every clock, so that no COPY meets a gap.

The DEFAULT partition catches what no month takes, so that no date can abort a drain; a month that
is made later takes its rows out of it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from aforo.periods import add_months, month_start
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant

MONTHS_BEHIND = 4  # 90 days of lateness, and the month that the oldest day falls in
MONTHS_AHEAD = 2


class Partitioned(NamedTuple):
    """A table and the column whose month decides where a row lies."""

    table: str
    column: str


EVENTS = Partitioned("usage_events", "occurred_at")
PAYLOADS = Partitioned("raw_payloads", "arrived_at")
# Vacuum makes the summaries that lists go by; with the usual fifth of a month between two, the
# newest millions would be read one by one. Each page is still read once: rows never change.
_VACUUM = "autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000"
DETACH_LOCK = 7_305_241_001  # an advisory lock: one maker or dropper of months at a time


def make_for_all_clocks(*, now: datetime) -> list[str]:
    """Months -4 to +2 around the real clock and every sandbox's own; the names of new ones."""
    sandboxes = Tenant.objects.filter(live_twin__isnull=False)  # any tenant: all clocks count
    moments = {month_start(now)} | {month_start(clock.now(tenant)) for tenant in sandboxes}
    return make_around(moments) + _make_payloads(now)


def _make_payloads(now: datetime) -> list[str]:
    """Bodies are filed by arrival, which is on everybody's clock."""
    months = (add_months(month_start(now), offset) for offset in range(MONTHS_AHEAD + 1))
    return [name for month in months if (name := _make(month, PAYLOADS))]


def make_around(moments: Iterable[datetime]) -> list[str]:
    """Months -4 to +2 around each moment; the names of new ones."""
    months = {
        add_months(month_start(moment), offset)
        for moment in moments
        for offset in range(-MONTHS_BEHIND, MONTHS_AHEAD + 1)
    }
    return [name for month in sorted(months) if (name := _make(month))]


def make_between(first: datetime, last: datetime) -> list[str]:
    """Every month from that of `first` to that of `last`, both included."""
    months, month = [], month_start(first)
    while month <= last:
        months.append(month)
        month = add_months(month, 1)
    return [name for month in months if (name := _make(month))]


def default_is_empty() -> bool:
    """Whether every event lies in a month of its own; where not, a month is missing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT EXISTS (SELECT FROM usage_events_default)")
        (empty,) = cursor.fetchone()
    return bool(empty)


def _make(month: datetime, kind: Partitioned = EVENTS) -> str | None:
    """One month's partition; None when it is there.

    Filled before it is attached: what the DEFAULT partition held of the month moves along, and
    nobody sees a moment without it.
    """
    table, column = kind
    name = f"{table}_{month:%Y%m}"
    end = add_months(month, 1)
    bounds = (month.isoformat(), end.isoformat())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (DETACH_LOCK,))
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
        if cursor.fetchone()[0]:
            return None
        cursor.execute(
            f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)"
            f" WITH ({_VACUUM})"
        )
        cursor.execute(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {table}_default"  # noqa: S608 - our own name
            f" WHERE {column} >= %s AND {column} < %s RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved",
            bounds,
        )
        cursor.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')"
        )
    return name
