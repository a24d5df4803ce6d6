"""Unusual hours: one hour of a subscription's usage against its own last two weeks."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from aforo.tenancy.models import Tenant
from metering.models import AlertKind, MonitorSettings, Severity
from metering.monitors.charts import Chart, hours_before
from metering.monitors.ended import IS_PRICED, IS_WATCHED, recover_of_ended
from metering.services.alerts import Finding, raise_alerts, recover_alerts

FACT = "usage.anomaly_detected"
HOUR = timedelta(hours=1)
CRITICAL = 3  # so many times as far from the mean as is unusual
# Whole days are summed up with their squares; only the ends of the baseline are read by the hour.
# A silent hour is judged where nine of ten hours of the baseline had usage. Deviations are no
# money: floats do.
_LEVEL = """
    CASE WHEN u.aggregation IN ('COUNT', 'UNIQUE', 'SUM') THEN h.quantity
         ELSE h.quantity / nullif(h.event_count, 0) END
"""
_JUDGED = f"""
    WITH kept AS (
        SELECT subscription_id, unit_id, hours, level, squares FROM daily_usage
        WHERE tenant_id = %(tenant)s AND day >= %(first_day)s AND day < %(last_day)s
        UNION ALL
        SELECT h.subscription_id, h.unit_id, 1, v.level, v.level * v.level
        FROM hourly_usage h JOIN billable_units u ON u.id = h.unit_id
        CROSS JOIN LATERAL (SELECT {_LEVEL} AS level) AS v
        WHERE h.tenant_id = %(tenant)s AND h.event_count > 0
          AND ((h.hour >= %(since)s AND h.hour < %(first_midnight)s)
            OR (h.hour >= %(last_midnight)s AND h.hour < %(hour)s))),
    sums AS (
        SELECT subscription_id, unit_id, sum(hours)::float8 AS n, sum(level) AS s,
               sum(squares) AS q, sum(hours) >= 0.9 * %(window)s AS is_dense
        FROM kept GROUP BY 1, 2 HAVING sum(hours) >= %(minimum)s),
    base AS (
        SELECT subscription_id, unit_id, n, is_dense, s::float8 / n AS mean,
               greatest(sqrt(greatest((q - s * s / n::numeric)::float8, 0) / (n - 1)),
                        abs(s::float8 / n) * %(flat)s) AS deviation
        FROM sums),
    now AS (
        SELECT h.subscription_id, h.unit_id, {_LEVEL} AS level, h.event_count, h.first_event_id,
               h.last_event_id
        FROM hourly_usage h JOIN billable_units u ON u.id = h.unit_id
        WHERE h.tenant_id = %(tenant)s AND h.hour = %(hour)s AND h.event_count > 0),
    judged AS (
        SELECT b.subscription_id, b.unit_id, coalesce(n.level, 0)::float8 AS value, b.mean,
               b.deviation, b.n::int AS samples, n.event_count, n.first_event_id, n.last_event_id,
               b.deviation > 0
               AND abs(coalesce(n.level, 0)::float8 - b.mean) > %(sigma)s * b.deviation AS is_odd
        FROM base b LEFT JOIN now n USING (subscription_id, unit_id)
        WHERE n.level IS NOT NULL OR b.is_dense),
    told AS MATERIALIZED (
        SELECT j.*, a.id IS NOT NULL AS is_open
        FROM judged j
        LEFT JOIN alerts a ON a.tenant_id = %(tenant)s AND a.kind = 'USAGE_ANOMALY'
            AND a.state = 'OPEN' AND a.subject = j.subscription_id || ':' || j.unit_id
        WHERE j.is_odd OR a.id IS NOT NULL)
    SELECT j.subscription_id, j.unit_id, j.value, j.mean, j.deviation, j.samples,
           coalesce(j.event_count, 0), j.first_event_id, j.last_event_id,
           j.is_odd AND s.id IS NOT NULL, j.is_open, c.id, c.external_id, u.name
    FROM told j
    JOIN billable_units u ON u.id = j.unit_id
    LEFT JOIN subscriptions s ON s.id = j.subscription_id AND {IS_WATCHED}
        AND (j.event_count IS NOT NULL OR {IS_PRICED})
    LEFT JOIN customers c ON c.id = s.customer_id
    WHERE s.id IS NOT NULL OR j.is_open
    ORDER BY j.subscription_id, j.unit_id
"""  # noqa: S608 - our own constants


class Judged(NamedTuple):
    """One subscription's hour of one unit that is unusual, or was when it was looked at before."""

    subscription_id: UUID
    unit_id: UUID
    value: float
    mean: float
    deviation: float
    samples: int
    event_count: int
    first_event_id: int | None
    last_event_id: int | None
    is_odd: bool
    is_open: bool
    customer_id: UUID | None
    customer: str | None
    unit: str

    @property
    def subject(self) -> str:
        return f"{self.subscription_id}:{self.unit_id}"

    @property
    def deviations(self) -> float:
        return abs(self.value - self.mean) / self.deviation


def find_anomalies(
    *, tenant: Tenant, settings: MonitorSettings, hour: datetime, now: datetime
) -> int:
    """Judge the hour that begins then; how many alerts it raised. Its usage must be summed up.

    An alert recovers with the first hour that is usual again, or when its subscription is over. May
    run twice.
    """
    kind = AlertKind.USAGE_ANOMALY
    recover_of_ended(tenant_id=tenant.pk, kind=kind, at=hour, now=now)
    judged = _judge(tenant.pk, settings, hour)
    usual = [one.subject for one in judged if one.is_open and not one.is_odd]
    recover_alerts(tenant_id=tenant.pk, kind=kind, subjects=usual, now=now)
    odd = [one for one in judged if one.is_odd]
    fresh = [(one.subscription_id, one.unit_id) for one in odd if not one.is_open]
    charts = hours_before(tenant.pk, fresh, last=hour)
    findings = [_finding(tenant.pk, one, settings, hour, charts) for one in odd]
    return len(raise_alerts(findings, now=now))


def _judge(tenant_id: UUID, settings: MonitorSettings, hour: datetime) -> Sequence[Judged]:
    with connection.cursor() as cursor:
        cursor.execute(_JUDGED, _about(tenant_id, settings, hour))
        return [Judged(*row) for row in cursor.fetchall()]


def _about(tenant_id: UUID, settings: MonitorSettings, hour: datetime) -> dict[str, Any]:
    hour = hour.astimezone(UTC)
    since = hour - timedelta(days=settings.baseline_days)
    last_midnight = hour.replace(hour=0)
    first_midnight = last_midnight - timedelta(days=settings.baseline_days)
    if first_midnight < since:
        first_midnight += timedelta(days=1)
    return {
        "tenant": tenant_id,
        "hour": hour,
        "at": hour,
        "since": since,
        "first_midnight": first_midnight,
        "last_midnight": last_midnight,
        "first_day": first_midnight.date(),
        "last_day": last_midnight.date(),
        "window": settings.baseline_days * 24,
        "minimum": settings.minimum_samples,
        "flat": settings.flat_percent / 100,
        "sigma": float(settings.sigma),
    }


def _finding(
    tenant_id: UUID,
    one: Judged,
    settings: MonitorSettings,
    hour: datetime,
    charts: dict[tuple[UUID, UUID], Chart],
) -> Finding:
    is_more = one.value > one.mean
    numbers = {
        "hour": hour.isoformat(),
        "observed": rounded(one.value),
        "mean": rounded(one.mean),
        "deviation": rounded(one.deviation),
        "deviations": f"{one.deviations:.1f}",
        "samples": one.samples,
        "sigma": str(settings.sigma),
    }
    evidence: dict[str, object] = {"numbers": numbers}
    if one.event_count:
        ends = {"firstId": one.first_event_id, "lastId": one.last_event_id}
        evidence["events"] = ends | {"count": one.event_count}
    if chart := charts.get((one.subscription_id, one.unit_id)):
        evidence["chart"] = chart
    is_far = one.deviations >= CRITICAL * float(settings.sigma)
    return Finding(
        tenant_id=tenant_id,
        kind=AlertKind.USAGE_ANOMALY,
        subject=one.subject,
        title=f"{one.customer}: {one.unit} is unusually {'high' if is_more else 'low'}",
        severity=Severity.CRITICAL if is_far else Severity.WARNING,
        customer_id=one.customer_id,
        unit_id=one.unit_id,
        subscription_id=one.subscription_id,
        evidence=evidence,
        fact=FACT,
        payload={
            "customerId": one.customer,
            "subscriptionId": str(one.subscription_id),
            "metric": one.unit,
            "direction": "HIGH" if is_more else "LOW",
            **numbers,
        },
    )


def rounded(value: float) -> str:
    """As people read it: six decimals at most."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
