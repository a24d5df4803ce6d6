"""Pacing: what an allowance will come to at the end of a period, told once per threshold."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from aforo.money import ZERO, plain
from aforo.tenancy.models import Tenant
from catalog.pricing import InvalidTerms
from catalog.selectors.prices import prices_of_totals
from metering.models import Alert, AlertKind, MonitorSettings, Severity
from metering.monitors.charts import Chart, days_before
from metering.selectors.paces import COLUMNS, Pace, Total, pace_of
from metering.services.alerts import Finding, raise_alerts, recover_alerts

FACT = "quota.threshold_reached"
FULL, OVERFULL = 100, 120  # percent from which it is a warning, and critical
CHART_DAYS = 14
# Only where something is included: most totals are of prices without an allowance.
_TOTALS = f"""
    SELECT {COLUMNS}
    FROM subscription_periods p
    JOIN running_totals m ON m.period_id = p.id
    JOIN billable_units u ON u.id = m.unit_id
    JOIN subscriptions s ON s.id = p.subscription_id
    WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s
      AND p.kind = 'REGULAR' AND m.quantity > 0
      AND (m.rollover > 0 OR EXISTS (
        SELECT FROM unit_prices x WHERE x.version_id = m.plan_version_id AND x.unit_id = m.unit_id
          AND coalesce(x.terms ->> 'includedFree', '0') <> '0') OR EXISTS (
        SELECT FROM contract_prices y
        WHERE y.phase_id = p.contract_phase_id AND y.unit_id = m.unit_id))
    ORDER BY m.id
"""  # noqa: S608 - our own constant
_NAMES = """
    SELECT r.id, u.name, c.id, c.external_id, c.email
    FROM running_totals r
    JOIN billable_units u ON u.id = r.unit_id
    JOIN subscriptions s ON s.id = r.subscription_id
    JOIN customers c ON c.id = s.customer_id
    WHERE r.id = ANY(%s)
"""
_ENDS = """
    SELECT t.id, (SELECT e.id FROM usage_events e WHERE e.running_total_id = t.id
                  ORDER BY e.position LIMIT 1),
                 (SELECT e.id FROM usage_events e WHERE e.running_total_id = t.id
                  ORDER BY e.position DESC LIMIT 1)
    FROM unnest(%s::bigint[]) AS t (id)
"""


class Names(NamedTuple):
    """Whose total of what it is."""

    unit: str
    customer_id: UUID
    customer: str
    email: str


def find_paces(*, tenant: Tenant, settings: MonitorSettings, now: datetime) -> int:
    """Raise an alert for each allowance whose projection has come to a higher threshold.

    Once per period and threshold: alerts stay open until their period is over. Several thresholds
    passed at once are one alert, of the highest. May run twice.
    """
    totals = _totals(tenant.pk, now)
    told = _told(tenant.pk)
    _close(tenant.pk, told, totals, now)
    thresholds = sorted(settings.pacing_thresholds)
    reached = [
        (pace, threshold)
        for pace in _paces(tenant.pk, totals, settings.pacing_from_percent, now)
        for threshold in (_highest(pace.percent, thresholds),)
        if threshold > told.get(str(pace.total.id), 0)
    ]
    findings = _findings(tenant.pk, reached, now)
    return len(raise_alerts(findings, now=now))


def _totals(tenant_id: UUID, now: datetime) -> list[Total]:
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, {"tenant": tenant_id, "now": now})
        return [Total(*row) for row in cursor.fetchall()]


def _told(tenant_id: UUID) -> dict[str, int]:
    """By total, the highest threshold that was told in its period."""
    rows = Alert.objects.for_tenant(tenant_id).filter(
        kind=AlertKind.QUOTA_PACING, state=Alert.State.OPEN
    )
    told: dict[str, int] = {}
    for subject in rows.values_list("subject", flat=True):
        total_id, _, threshold = subject.partition(":")
        told[total_id] = max(told.get(total_id, 0), int(threshold))
    return told


def _close(
    tenant_id: UUID, told: Mapping[str, int], totals: Sequence[Total], now: datetime
) -> None:
    over = set(told) - {str(total.id) for total in totals}
    if not over:
        return
    rows = Alert.objects.for_tenant(tenant_id).filter(
        kind=AlertKind.QUOTA_PACING, state=Alert.State.OPEN
    )
    subjects = [
        subject
        for subject in rows.values_list("subject", flat=True)
        if subject.partition(":")[0] in over
    ]
    recover_alerts(tenant_id=tenant_id, kind=AlertKind.QUOTA_PACING, subjects=subjects, now=now)


def _paces(
    tenant_id: UUID, totals: Sequence[Total], from_percent: int, now: datetime
) -> list[Pace]:
    ripe = [one for one in totals if _is_ripe(one, from_percent, now)]
    keys = {(one.period_id, one.version_id, one.unit_id) for one in ripe}
    prices = prices_of_totals(tenant_id, keys)
    paces = []
    for one in ripe:
        price = prices[one.period_id, one.version_id, one.unit_id]
        if price is None:
            continue
        try:
            terms = price.terms.of_dimension(one.dimension)
        except InvalidTerms:
            continue  # the bill run names it; a monitor has nothing to compare with
        pace = pace_of(one, terms, now)
        if pace.allowance > ZERO:
            paces.append(pace)
    return paces


def _is_ripe(total: Total, from_percent: int, now: datetime) -> bool:
    return (now - total.start_at) * 100 >= (total.end_at - total.start_at) * from_percent


def _highest(percent: Decimal, thresholds: Sequence[int]) -> int:
    return max((one for one in thresholds if one <= percent), default=0)


def _findings(tenant_id: UUID, reached: Sequence[tuple[Pace, int]], now: datetime) -> list[Finding]:
    if not reached:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, ([pace.total.id for pace, _ in reached],))
        ends = {total_id: (first, last) for total_id, first, last in cursor.fetchall()}
        cursor.execute(_NAMES, ([pace.total.id for pace, _ in reached],))
        names = {total_id: Names(*row) for total_id, *row in cursor.fetchall()}
    pairs = {(pace.total.subscription_id, pace.total.unit_id) for pace, _ in reached}
    last = now.astimezone(UTC).date()
    charts: Mapping[tuple[UUID, UUID], Chart]
    charts = days_before(tenant_id, pairs, last=last, days=CHART_DAYS)
    found = []
    for pace, threshold in reached:
        total = pace.total
        first, last = ends[total.id]
        evidence = {
            "numbers": _numbers(pace, threshold),
            "events": {"firstId": first, "lastId": last, "count": total.event_count},
            "chart": charts[total.subscription_id, total.unit_id],
        }
        found.append(_finding(tenant_id, total, threshold, names[total.id], evidence))
    return found


def _numbers(pace: Pace, threshold: int) -> dict[str, Any]:
    total = pace.total
    numbers: dict[str, Any] = {
        "threshold": threshold,
        "projectedPercent": plain(round(pace.percent, 1)),
        "projected": plain(pace.projected),
        "used": plain(pace.used),
        "included": plain(pace.allowance),
        "periodStart": total.start_at.isoformat(),
        "periodEnd": total.end_at.isoformat(),
        "hardLimit": pace.terms.has_hard_limit,
    }
    if total.dimension:
        numbers["dimension"] = total.dimension
    return numbers


def _finding(
    tenant_id: UUID, total: Total, threshold: int, names: Names, evidence: Mapping[str, Any]
) -> Finding:
    return Finding(
        tenant_id=tenant_id,
        kind=AlertKind.QUOTA_PACING,
        subject=f"{total.id}:{threshold}",
        title=f"{names.customer}: {names.unit} will come to {threshold} % of what is included",
        severity=_severity(threshold),
        customer_id=names.customer_id,
        unit_id=total.unit_id,
        subscription_id=total.subscription_id,
        evidence=evidence,
        fact=FACT,
        payload={
            "customerId": names.customer,
            "customerEmail": names.email,
            "audience": ["CUSTOMER", "OPERATOR"],
            "subscriptionId": str(total.subscription_id),
            "metric": names.unit,
            **evidence["numbers"],
        },
    )


def _severity(threshold: int) -> Severity:
    if threshold >= OVERFULL:
        return Severity.CRITICAL
    return Severity.WARNING if threshold >= FULL else Severity.INFO
