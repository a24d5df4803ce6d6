"""Drops: seven days of a subscription's usage that are half of the seven before, or less."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from aforo.tenancy.models import Tenant
from metering.models import AlertKind, MonitorSettings, Severity
from metering.monitors.anomalies import rounded
from metering.monitors.charts import Chart, days_before
from metering.monitors.ended import IS_PRICED, IS_WATCHED, recover_of_ended
from metering.services.alerts import Finding, raise_alerts, recover_alerts

FACT = "usage.dropped"
WEEK = timedelta(days=7)
# Judged is whoever used something in one of the two weeks; an alert about somebody who did not
# stays open until there is usage again, or the subscription is over.
_WEEKS = f"""
    WITH weeks AS (
        SELECT subscription_id, unit_id,
               coalesce(sum(level) FILTER (WHERE day < %(middle)s), 0)::float8 AS before,
               coalesce(sum(level) FILTER (WHERE day >= %(middle)s), 0)::float8 AS after,
               coalesce(sum(event_count) FILTER (WHERE day < %(middle)s), 0) AS events_before,
               coalesce(sum(event_count) FILTER (WHERE day >= %(end)s::date - 1), 0)
                   AS events_lately,
               sum(event_count)::bigint AS events, min(first_event_id) AS first_id,
               max(last_event_id) AS last_id
        FROM daily_usage WHERE tenant_id = %(tenant)s AND day >= %(first)s AND day < %(end)s
        GROUP BY 1, 2),
    judged AS (
        SELECT *, events_before >= %(minimum)s AND before > 0
                  AND after <= before * (1 - %(drop)s) AS is_low,
               after > before * (1 - %(drop)s) AS is_back FROM weeks),
    told AS MATERIALIZED (
        SELECT j.*, a.id IS NOT NULL AS is_open
        FROM judged j
        LEFT JOIN alerts a ON a.tenant_id = %(tenant)s AND a.kind = 'USAGE_DROP'
            AND a.state = 'OPEN' AND a.subject = j.subscription_id || ':' || j.unit_id
        WHERE j.is_low OR a.id IS NOT NULL)
    SELECT j.subscription_id, j.unit_id, j.before, j.after, j.events, j.first_id, j.last_id,
           j.is_low AND s.id IS NOT NULL, j.is_back, j.is_open, c.id, c.external_id, u.name
    FROM told j
    JOIN billable_units u ON u.id = j.unit_id
    LEFT JOIN subscriptions s ON s.id = j.subscription_id AND {IS_WATCHED}
        AND (j.events_lately > 0 OR {IS_PRICED})
    LEFT JOIN customers c ON c.id = s.customer_id
    WHERE s.id IS NOT NULL OR j.is_open
    ORDER BY j.subscription_id, j.unit_id
"""  # noqa: S608 - our own constants


class Weeks(NamedTuple):
    """Two weeks of one subscription's usage of one unit; events and ids are those of both."""

    subscription_id: UUID
    unit_id: UUID
    before: float
    after: float
    events: int
    first_event_id: int
    last_event_id: int
    is_low: bool
    is_back: bool
    is_open: bool
    customer_id: UUID | None
    customer: str | None
    unit: str

    @property
    def subject(self) -> str:
        return f"{self.subscription_id}:{self.unit_id}"

    @property
    def drop_percent(self) -> float:
        return 100 * (1 - self.after / self.before)


def find_drops(*, tenant: Tenant, settings: MonitorSettings, end: datetime, now: datetime) -> int:
    """Judge the week that ends with this midnight (UTC); how many alerts it raised.

    An alert recovers when there is usage again and the drop is smaller, or when its subscription is
    over. May run twice.
    """
    kind = AlertKind.USAGE_DROP
    recover_of_ended(tenant_id=tenant.pk, kind=kind, at=end, now=now)
    found = _weeks(tenant.pk, settings, end)
    better = [one.subject for one in found if one.is_open and one.is_back]
    recover_alerts(tenant_id=tenant.pk, kind=kind, subjects=better, now=now)
    low = [one for one in found if one.is_low]
    fresh = [(one.subscription_id, one.unit_id) for one in low if not one.is_open]
    last = end.astimezone(UTC).date() - timedelta(days=1)
    charts = days_before(tenant.pk, fresh, last=last, days=14)
    return len(raise_alerts([_finding(tenant.pk, one, end, charts) for one in low], now=now))


def _weeks(tenant_id: UUID, settings: MonitorSettings, end: datetime) -> list[Weeks]:
    day = end.astimezone(UTC).date()
    about: dict[str, Any] = {
        "tenant": tenant_id,
        "first": day - 2 * WEEK,
        "middle": day - WEEK,
        "end": day,
        "at": end,
        "minimum": settings.drop_minimum_events,
        "drop": settings.drop_percent / 100,
    }
    with connection.cursor() as cursor:
        cursor.execute(_WEEKS, about)
        return [Weeks(*row) for row in cursor.fetchall()]


def _finding(
    tenant_id: UUID, one: Weeks, end: datetime, charts: dict[tuple[UUID, UUID], Chart]
) -> Finding:
    numbers = {
        "week": (end - WEEK).isoformat(),
        "before": rounded(one.before),
        "after": rounded(one.after),
        "dropPercent": f"{one.drop_percent:.1f}",
    }
    ends = {"firstId": one.first_event_id, "lastId": one.last_event_id, "count": one.events}
    evidence: dict[str, object] = {"numbers": numbers, "events": ends}
    if chart := charts.get((one.subscription_id, one.unit_id)):
        evidence["chart"] = chart
    return Finding(
        tenant_id=tenant_id,
        kind=AlertKind.USAGE_DROP,
        subject=one.subject,
        title=f"{one.customer}: {one.unit} dropped by {one.drop_percent:.0f} % within a week",
        severity=Severity.WARNING if one.after else Severity.CRITICAL,
        customer_id=one.customer_id,
        unit_id=one.unit_id,
        subscription_id=one.subscription_id,
        evidence=evidence,
        fact=FACT,
        payload={
            "customerId": one.customer,
            "subscriptionId": str(one.subscription_id),
            "metric": one.unit,
            **numbers,
        },
    )
