"""How metering does now: what came in the last hour and from where, and what waits to be counted.

Read from the receipts of one hour by their index, from the inbox, which is short, and from one
row per unit; never from events.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection

from aforo.tenancy import clock
from aforo.tenancy.models import Tenant

MINUTES = 60
RECENT_MINUTES = 15
MOST_REFUSED_PERCENT = 5
REGULAR_MINUTES = 30  # of the 45 before the recent ones
_HOUR = """
    SELECT date_trunc('minute', drained_at), source, door, api_key_id, sum(event_count)::bigint,
           sum(dead)::bigint, sum(duplicates)::bigint, max(drained_at)
    FROM receipts WHERE tenant_id = %s AND drained_at >= %s AND drained_at < %s
    GROUP BY 1, 2, 3, 4
"""
_ERRORS = """
    SELECT refusal ->> 1, count(*) FROM receipts, jsonb_array_elements(refusals) AS refusal
    WHERE tenant_id = %s AND drained_at >= %s AND drained_at < %s AND dead > 0
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
"""
_BACKLOG = """
    SELECT count(*), coalesce(sum(event_count), 0)::bigint,
           coalesce(extract(epoch FROM %s - min(arrived_at)), 0)::float8
    FROM inbox_batches WHERE tenant_id = %s
"""
_LETTERS = """
    SELECT count(*) FROM (
        SELECT FROM dead_letters WHERE tenant_id = %s AND status = 'OPEN' LIMIT 100001) AS open
"""
_NAMES = """
    SELECT id, coalesce(nullif(name, ''), prefix || '…' || last_four) FROM api_keys
    WHERE tenant_id = %s AND id = ANY(%s)
"""
_UNITS = """
    SELECT u.id, u.name, CASE WHEN u.source_metric = '' THEN u.name ELSE u.source_metric END,
           a.last_event_at
    FROM billable_units u LEFT JOIN unit_activity a ON a.unit_id = u.id
    WHERE u.tenant_id = %s AND u.archived_at IS NULL ORDER BY u.name
"""
_REFUSED_METRICS = """
    SELECT DISTINCT metric FROM dead_letters
    WHERE tenant_id = %s AND status = 'OPEN' AND metric = ANY(%s) AND last_seen_at >= %s
"""


class Health(StrEnum):
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"
    THROTTLED = "THROTTLED"
    NO_DATA = "NO_DATA"


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute by when its batches were counted."""

    at: datetime
    events: int
    refused: int
    duplicates: int


@dataclass(slots=True)
class Source:
    """One sender: a kind of source, the route it uses, and its key if it has one."""

    source: str
    door: str
    key_id: UUID | None
    key_name: str
    events: int = 0
    refused: int = 0
    recent_events: int = 0
    recent_refused: int = 0
    earlier_minutes: int = 0
    last_seen_at: datetime | None = None

    @property
    def health(self) -> Health:
        """DOWN: refused altogether, or silent for 15 minutes after half an hour of every minute.

        DEGRADED: over 5 % of the last 15 minutes were refused. It is NO_DATA without any event.
        """
        if not self.events:
            return Health.NO_DATA
        if not self.recent_events:
            is_regular = self.earlier_minutes >= REGULAR_MINUTES
            return Health.DOWN if is_regular else Health.HEALTHY
        if self.recent_refused == self.recent_events:
            return Health.DOWN
        is_bad = self.recent_refused * 100 > self.recent_events * MOST_REFUSED_PERCENT
        return Health.DEGRADED if is_bad else Health.HEALTHY


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the inbox; the age of the oldest in seconds."""

    batches: int
    events: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Unit:
    """A billable unit and when an event last came for it, to about a minute."""

    id: UUID
    name: str
    metric: str
    last_event_at: datetime | None
    health: Health


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The hour before `as_of`, and the moment itself; on everybody's clock."""

    as_of: datetime
    minutes: list[Minute]
    sources: list[Source]
    errors: list[tuple[str, int]]
    backlog: Backlog
    dead_letters: int  # open ones; never counted beyond 100,001
    units: list[Unit]

    @property
    def events(self) -> int:
        return sum(minute.events for minute in self.minutes)

    @property
    def refused(self) -> int:
        return sum(minute.refused for minute in self.minutes)

    @property
    def events_per_minute(self) -> float:
        """The mean of the last five whole minutes."""
        return sum(minute.events for minute in self.minutes[-6:-1]) / 5

    @property
    def success_rate(self) -> float | None:
        """The share of the hour's events that were not refused; None without any."""
        return 1 - self.refused / self.events if self.events else None

    @property
    def schema_violations(self) -> int:
        return sum(count for code, count in self.errors if code.startswith("INVALID_"))


def ingestion(*, tenant: Tenant, now: datetime) -> Ingestion:
    """How one tenant's metering does when everybody's clock shows `now`."""
    tenant_id, last = tenant.pk, now.replace(second=0, microsecond=0)
    first = last - timedelta(minutes=MINUTES - 1)
    rows = _rows(_HOUR, tenant_id, first, now)
    return Ingestion(
        as_of=now,
        minutes=_minutes(rows, first),
        sources=_sources(rows, tenant_id, last),
        errors=_rows(_ERRORS, tenant_id, first, now),
        backlog=Backlog(*_rows(_BACKLOG, now, tenant_id)[0]),
        dead_letters=_rows(_LETTERS, tenant_id)[0][0],
        units=_units(tenant, now),
    )


def _rows(statement: str, *about: Any) -> list[tuple]:  # type: ignore[type-arg]  # as they come
    with connection.cursor() as cursor:
        cursor.execute(statement, about)
        return list(cursor.fetchall())


def _minutes(rows: Iterable[tuple], first: datetime) -> list[Minute]:  # type: ignore[type-arg]
    sums = {first + timedelta(minutes=number): [0, 0, 0] for number in range(MINUTES)}
    for at, _, _, _, events, refused, duplicates, _ in rows:
        found = sums[at]
        found[0] += events
        found[1] += refused
        found[2] += duplicates
    return [Minute(at, *found) for at, found in sums.items()]


def _sources(rows: Collection[tuple], tenant_id: UUID, last: datetime) -> list[Source]:  # type: ignore[type-arg]
    key_ids = list({row[3] for row in rows if row[3] is not None})
    names = dict(_rows(_NAMES, tenant_id, key_ids)) if key_ids else {}
    recent = last - timedelta(minutes=RECENT_MINUTES - 1)
    found: dict[tuple[str, str, UUID | None], Source] = {}
    for at, source, door, key_id, events, refused, _, seen_at in rows:
        key = (source, door, key_id)
        one = found.setdefault(key, Source(*key, names.get(key_id, "")))
        one.events += events
        one.refused += refused
        if at >= recent:
            one.recent_events += events
            one.recent_refused += refused
        else:
            one.earlier_minutes += 1
        one.last_seen_at = max(one.last_seen_at or seen_at, seen_at)
    return sorted(found.values(), key=lambda one: (-one.events, one.source, one.door))


def _units(tenant: Tenant, now: datetime) -> list[Unit]:
    """Each unit with its health.

    NO_DATA: nothing for 24 hours. DEGRADED: events of its metric were refused in the last hour;
    DOWN: and none was counted in it.
    """
    rows = _rows(_UNITS, tenant.pk)
    metrics = sorted({metric for _, _, metric, _ in rows})
    hour_ago = now - timedelta(hours=1)
    by_its_clock = clock.at(tenant, hour_ago)  # dead letters are dated by their batches
    refused = {metric for (metric,) in _rows(_REFUSED_METRICS, tenant.pk, metrics, by_its_clock)}
    units = []
    for unit_id, name, metric, seen_at in rows:
        if metric in refused:
            is_down = seen_at is None or seen_at < hour_ago
            health = Health.DOWN if is_down else Health.DEGRADED
        else:
            is_silent = seen_at is None or seen_at < now - timedelta(hours=24)
            health = Health.NO_DATA if is_silent else Health.HEALTHY
        units.append(Unit(unit_id, name, metric, seen_at, health))
    return units
