"""The last hours or days of some subscriptions' usage, as alerts show them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from aforo.money import ZERO

Pair = tuple[UUID, UUID]  # subscription and unit
Chart = dict[str, object]
HOURS = 48
_HOURS = """
    SELECT p.subscription_id, p.unit_id, h.hour, h.quantity
    FROM unnest(%(subscriptions)s::uuid[], %(units)s::uuid[]) AS p (subscription_id, unit_id)
    CROSS JOIN generate_series(%(since)s::timestamptz, %(last)s, interval '1 hour') AS shown (at)
    JOIN hourly_usage h ON h.tenant_id = %(tenant)s AND h.hour = shown.at
        AND h.subscription_id = p.subscription_id AND h.unit_id = p.unit_id
"""
_DAYS = """
    SELECT p.subscription_id, p.unit_id, d.day, d.quantity
    FROM unnest(%(subscriptions)s::uuid[], %(units)s::uuid[]) AS p (subscription_id, unit_id)
    CROSS JOIN generate_series(%(since)s::date, %(last)s::date, interval '1 day') AS shown (at)
    JOIN daily_usage d ON d.tenant_id = %(tenant)s AND d.day = shown.at::date
        AND d.subscription_id = p.subscription_id AND d.unit_id = p.unit_id
"""
# Of all customers together: read when a unit has just fallen silent.
_UNITS = """
    SELECT unit_id, day, sum(quantity), min(first_event_id), max(last_event_id), sum(event_count)
    FROM daily_usage
    WHERE tenant_id = %s AND day >= %s AND day <= %s AND unit_id = ANY(%s) GROUP BY 1, 2
"""


def hours_before(tenant_id: UUID, pairs: Collection[Pair], *, last: datetime) -> dict[Pair, Chart]:
    """Two days of hours up to `last`, which stands out."""
    hours = [last - timedelta(hours=number) for number in range(HOURS - 1, -1, -1)]
    found = _found(_HOURS, tenant_id, pairs, hours[0], last)
    labels = [f"{hour.astimezone(UTC):%d. %H:00}" for hour in hours]
    return {pair: _chart(labels, hours, found[pair]) for pair in pairs}


def days_before(
    tenant_id: UUID, pairs: Collection[Pair], *, last: date, days: int
) -> dict[Pair, Chart]:
    """So many days up to `last`."""
    shown = [last - timedelta(days=number) for number in range(days - 1, -1, -1)]
    found = _found(_DAYS, tenant_id, pairs, shown[0], last)
    labels = [f"{day:%m-%d}" for day in shown]
    return {pair: _chart(labels, shown, found[pair]) for pair in pairs}


def units_before(
    tenant_id: UUID, unit_ids: Collection[UUID], *, last: date, days: int
) -> dict[UUID, dict[str, object]]:
    """`chart` and `events` of so many days up to `last`, of all customers, by unit with usage."""
    if not unit_ids:
        return {}
    shown = [last - timedelta(days=number) for number in range(days - 1, -1, -1)]
    quantities: defaultdict[UUID, dict[date, Decimal]] = defaultdict(dict)
    events: dict[UUID, dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_UNITS, (tenant_id, shown[0], last, list(unit_ids)))
        for unit_id, day, quantity, first, final, count in cursor.fetchall():
            quantities[unit_id][day] = quantity
            sofar = events.get(unit_id, {"firstId": first, "lastId": final, "count": 0})
            events[unit_id] = {
                "firstId": min(first, sofar["firstId"]),
                "lastId": max(final, sofar["lastId"]),
                "count": sofar["count"] + int(count),
            }
    labels = [f"{day:%m-%d}" for day in shown]
    return {
        unit_id: {"chart": _chart(labels, shown, found), "events": events[unit_id]}
        for unit_id, found in quantities.items()
    }


def _found(
    statement: str, tenant_id: UUID, pairs: Collection[Pair], since: date, last: date
) -> Mapping[Pair, Mapping[date, Decimal]]:
    found: defaultdict[Pair, dict[date, Decimal]] = defaultdict(dict)
    if not pairs:
        return found
    about: dict[str, Any] = {
        "tenant": tenant_id,
        "subscriptions": [subscription_id for subscription_id, _ in pairs],
        "units": [unit_id for _, unit_id in pairs],
        "since": since,
        "last": last,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, about)
        for subscription_id, unit_id, at, quantity in cursor.fetchall():
            found[subscription_id, unit_id][at] = quantity
    return found


def _chart(labels: list[str], moments: Collection[date], found: Mapping[date, Decimal]) -> Chart:
    values = [float(found.get(moment, ZERO)) for moment in moments]
    return {"labels": labels, "values": values, "highlight": len(values) - 1}
