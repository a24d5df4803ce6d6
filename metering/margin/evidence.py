"""What lies behind a margin: the usage events and reported costs of its running periods."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from metering.margin.slices import units_by_metric

# The ends of each total's events by its index; a customer has few totals.
_EVENTS = """
    SELECT s.customer_id, r.unit_id, min(ends.first_id), max(ends.last_id), sum(r.event_count)
    FROM subscriptions s
    JOIN subscription_periods p
      ON p.subscription_id = s.id AND p.start_at <= %(now)s AND p.end_at > %(now)s
    JOIN running_totals r ON r.period_id = p.id AND r.event_count > 0
    CROSS JOIN LATERAL (
        SELECT (SELECT e.id FROM usage_events e WHERE e.running_total_id = r.id
                ORDER BY e.position LIMIT 1) AS first_id,
               (SELECT e.id FROM usage_events e WHERE e.running_total_id = r.id
                ORDER BY e.position DESC LIMIT 1) AS last_id) AS ends
    WHERE s.tenant_id = %(tenant)s AND s.customer_id = ANY(%(customers)s)
    GROUP BY 1, 2
"""
_COSTS = """
    SELECT c.customer_id, c.metric, max(c.id::text COLLATE "C"), count(*)
    FROM (SELECT s.customer_id, min(p.start_at) AS since
          FROM subscriptions s
          JOIN subscription_periods p
            ON p.subscription_id = s.id AND p.start_at <= %(now)s AND p.end_at > %(now)s
          WHERE s.tenant_id = %(tenant)s AND s.customer_id = ANY(%(customers)s) GROUP BY 1) AS w
    JOIN cost_events c ON c.tenant_id = %(tenant)s AND c.customer_id = w.customer_id
                      AND c.occurred_at >= w.since
    GROUP BY 1, 2
"""


class Sources:
    """The events and costs behind margins of some customers, of each unit or of all together."""

    def __init__(self, tenant_id: UUID, customers: Collection[UUID], *, now: datetime) -> None:
        about: dict[str, Any] = {"tenant": tenant_id, "customers": list(customers), "now": now}
        units = units_by_metric(tenant_id)
        with connection.cursor() as cursor:
            cursor.execute(_EVENTS, about)
            self._events: defaultdict[UUID, list[tuple[Any, ...]]] = defaultdict(list)
            for customer_id, *ends in cursor.fetchall():
                self._events[customer_id].append(tuple(ends))
            cursor.execute(_COSTS, about)
            self._costs: defaultdict[UUID, list[tuple[UUID | None, str, int]]] = defaultdict(list)
            for customer_id, metric, last, count in cursor.fetchall():
                self._costs[customer_id].append((units.get(metric), last, count))

    def of(self, customer_id: UUID, unit_id: UUID | None) -> dict[str, Mapping[str, object]]:
        """As evidence of an alert: `events` and `costs`, where there are any."""
        found = self._events.get(customer_id, ())
        ends = [counted for unit, *counted in found if unit_id in {None, unit}]
        told: dict[str, Mapping[str, object]] = {}
        if ends:
            firsts, lasts, counts = zip(*ends, strict=True)
            told["events"] = {
                "firstId": min(firsts),
                "lastId": max(lasts),
                "count": int(sum(counts)),
            }
        costs = [
            (last, count)
            for unit, last, count in self._costs.get(customer_id, ())
            if unit_id in {None, unit}
        ]
        if costs:
            lasts, counts = zip(*costs, strict=True)
            told["costs"] = {"lastId": max(lasts), "count": sum(counts)}
        return told
