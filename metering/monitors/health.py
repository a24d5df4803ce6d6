"""Unit health: how usage of each unit spreads over the tiers that price it, and what is silent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from aforo.money import ZERO, plain
from aforo.tenancy.models import Tenant
from catalog.models import UnitPrice
from catalog.pricing import InvalidTerms, parse_terms
from metering.models import Alert, AlertKind, Severity, UnitHealth
from metering.monitors.charts import units_before
from metering.services.alerts import Finding, raise_alerts, recover_alerts

SILENT = timedelta(hours=24)
CHART_DAYS = 14
UnitKey = tuple[UUID, UUID | None]  # unit and plan version
_UNITS = """
    SELECT u.id, u.name, a.last_event_at
    FROM billable_units u LEFT JOIN unit_activity a ON a.unit_id = u.id
    WHERE u.tenant_id = %s AND u.archived_at IS NULL ORDER BY u.name
"""
# Versions that somebody is on now, whether or not anything was used.
_PRICED = """
    SELECT DISTINCT x.unit_id, x.version_id
    FROM subscription_periods p
    JOIN subscription_plans q ON q.subscription_id = p.subscription_id
        AND (q.start_at IS NULL OR q.start_at <= p.start_at)
        AND (q.end_at IS NULL OR q.end_at > p.start_at)
    JOIN unit_prices x ON x.version_id = q.version_id
    WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s
"""
# A quantity at the end of a tier is still of that tier; the units of a tier are those within it.
# Rows without a tier are of all tiers: who is in several, with several dimension values, is one.
_SPREAD = """
    WITH bounds AS MATERIALIZED (
        SELECT * FROM unnest(%(units)s::uuid[], %(versions)s::uuid[], %(tiers)s::int[],
                             %(floors)s::numeric[], %(ends)s::numeric[])
            AS b (unit_id, version_id, tier, floor, tier_end)),
    used AS MATERIALIZED (
        SELECT r.unit_id, r.plan_version_id, r.subscription_id, s.customer_id, r.quantity
        FROM subscription_periods p
        JOIN subscriptions s ON s.id = p.subscription_id
        JOIN running_totals r ON r.period_id = p.id
        WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s
          AND r.quantity > 0)
    SELECT b.unit_id, b.version_id, b.tier,
           count(DISTINCT u.subscription_id) FILTER (WHERE NOT u.quantity > b.tier_end
                                                     OR b.tier_end IS NULL),
           count(DISTINCT u.customer_id) FILTER (WHERE NOT u.quantity > b.tier_end
                                                 OR b.tier_end IS NULL),
           coalesce(sum(least(u.quantity, b.tier_end) - b.floor), 0)
    FROM bounds b JOIN used u ON u.unit_id = b.unit_id AND u.plan_version_id = b.version_id
        AND u.quantity > b.floor
    GROUP BY GROUPING SETS ((1, 2, 3), (1, 2))
"""


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier of a histogram: who ends in it, and how many units fall into it."""

    floor: Decimal
    end: Decimal | None
    subscriptions: int = 0
    customers: int = 0
    quantity: Decimal = ZERO

    def as_json(self) -> dict[str, object]:
        return {
            "from": plain(self.floor),
            "to": None if self.end is None else plain(self.end),
            "subscriptions": self.subscriptions,
            "customers": self.customers,
            "quantity": plain(self.quantity),
        }


@dataclass(frozen=True, slots=True)
class _Spread:
    """All tiers of one unit, and who is in any of them."""

    tiers: Sequence[Tier]
    subscriptions: int
    customers: int


def take_health(*, tenant: Tenant, now: datetime, at: datetime) -> int:
    """Write the health of each unit anew; how many rows.

    `now` is everybody's clock, by which units are silent; `at` the tenant's, by which periods are
    open. A unit that has no event yet is silent without an alert. May run twice.
    """
    units = _units(tenant.pk)
    tiers = _tiers(tenant.pk, at)
    users = _count(tenant.pk, tiers, at)
    rows = [
        _row(tenant, key, _Spread(tiers.get(key, []), *users.get(key, (0, 0))), seen_at, (now, at))
        for unit_id, (_, seen_at) in units.items()
        for key in _keys(unit_id, tiers)
    ]
    _keep(tenant, rows)
    _tell_silent(tenant.pk, units, now=now, at=at)
    return len(rows)


def _units(tenant_id: UUID) -> dict[UUID, tuple[str, datetime | None]]:
    with connection.cursor() as cursor:
        cursor.execute(_UNITS, (tenant_id,))
        return {unit_id: (name, seen_at) for unit_id, name, seen_at in cursor.fetchall()}


def _tiers(tenant_id: UUID, at: datetime) -> dict[UnitKey, list[Tier]]:
    """The tiers of each priced unit, as its plan has them; contracts may say otherwise."""
    with connection.cursor() as cursor:
        cursor.execute(_PRICED, {"tenant": tenant_id, "now": at})
        priced = set(cursor.fetchall())
    prices = UnitPrice.objects.for_tenant(tenant_id).filter(
        version_id__in={version_id for _, version_id in priced}
    )
    return {
        (price.unit_id, price.version_id): _tiers_of(price)
        for price in prices.order_by("-currency")  # the plan's own, without one, comes last
        if (price.unit_id, price.version_id) in priced
    }


def _tiers_of(price: UnitPrice) -> list[Tier]:
    try:
        bounds = parse_terms(price.terms).bounds
    except InvalidTerms:
        bounds = ()
    return [Tier(floor, end) for floor, end in zip((ZERO, *bounds), (*bounds, None), strict=True)]


def _keys(unit_id: UUID, tiers: Mapping[UnitKey, object]) -> list[UnitKey]:
    return [key for key in tiers if key[0] == unit_id] or [(unit_id, None)]


def _count(
    tenant_id: UUID, tiers: dict[UnitKey, list[Tier]], at: datetime
) -> dict[UnitKey, tuple[int, int]]:
    """Put into each tier who is in it; how many subscriptions and customers there are at all."""
    users: dict[UnitKey, tuple[int, int]] = {}
    flat = [
        (key, number, tier) for key, found in tiers.items() for number, tier in enumerate(found)
    ]
    about: dict[str, Any] = {
        "tenant": tenant_id,
        "now": at,
        "units": [unit_id for (unit_id, _), _, _ in flat],
        "versions": [version_id for (_, version_id), _, _ in flat],
        "tiers": [number for _, number, _ in flat],
        "floors": [tier.floor for _, _, tier in flat],
        "ends": [tier.end for _, _, tier in flat],
    }
    with connection.cursor() as cursor:
        cursor.execute(_SPREAD, about)
        for unit_id, version_id, number, subscriptions, customers, quantity in cursor.fetchall():
            if number is None:
                users[unit_id, version_id] = subscriptions, customers
                continue
            found = tiers[unit_id, version_id]
            tier = found[number]
            found[number] = Tier(tier.floor, tier.end, subscriptions, customers, quantity)
    return users


def _row(
    tenant: Tenant,
    key: UnitKey,
    spread: _Spread,
    seen_at: datetime | None,
    moments: tuple[datetime, datetime],
) -> UnitHealth:
    now, at = moments
    unit_id, version_id = key
    is_silent = seen_at is None or seen_at < now - SILENT
    return UnitHealth(
        tenant=tenant,
        unit_id=unit_id,
        version_id=version_id,
        status=UnitHealth.Status.NO_DATA if is_silent else UnitHealth.Status.HEALTHY,
        last_event_at=seen_at,
        quantity=sum((tier.quantity for tier in spread.tiers), ZERO),
        subscriptions=spread.subscriptions,
        customers=spread.customers,
        tiers=[tier.as_json() for tier in spread.tiers],
        as_of=at,
    )


def _keep(tenant: Tenant, rows: Sequence[UnitHealth]) -> None:
    told = ["status", "last_event_at", "quantity", "subscriptions", "customers", "tiers", "as_of"]
    UnitHealth.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["tenant", "unit", "version"], update_fields=told
    )
    kept = {(row.unit_id, row.version_id) for row in rows}
    there = UnitHealth.objects.for_tenant(tenant).values_list("pk", "unit_id", "version_id")
    gone = [pk for pk, *key in there if tuple(key) not in kept]
    UnitHealth.objects.for_tenant(tenant).filter(pk__in=gone).delete()


def _tell_silent(
    tenant_id: UUID,
    units: Mapping[UUID, tuple[str, datetime | None]],
    *,
    now: datetime,
    at: datetime,
) -> None:
    silent = [
        unit_id
        for unit_id, (_, seen_at) in units.items()
        if seen_at is not None and seen_at < now - SILENT
    ]
    told = _told(tenant_id)
    over = told - set(map(str, silent))  # awake again, or archived
    kind = AlertKind.UNIT_NO_DATA
    recover_alerts(tenant_id=tenant_id, kind=kind, subjects=over, now=at)
    fresh = [unit_id for unit_id in silent if str(unit_id) not in told]
    seen = units_before(tenant_id, fresh, last=at.astimezone(UTC).date(), days=CHART_DAYS)
    findings = [
        _silence(tenant_id, unit_id, *units[unit_id], seen.get(unit_id, {})) for unit_id in silent
    ]
    raise_alerts(findings, now=at)


def _told(tenant_id: UUID) -> set[str]:
    rows = Alert.objects.for_tenant(tenant_id).filter(
        kind=AlertKind.UNIT_NO_DATA, state=Alert.State.OPEN
    )
    return set(rows.values_list("subject", flat=True))


def _silence(
    tenant_id: UUID,
    unit_id: UUID,
    name: str,
    seen_at: datetime | None,
    evidence: Mapping[str, object],
) -> Finding:
    seen = seen_at.isoformat() if seen_at else ""
    return Finding(
        tenant_id=tenant_id,
        kind=AlertKind.UNIT_NO_DATA,
        subject=str(unit_id),
        title=f"{name}: no event for 24 hours",
        severity=Severity.INFO,
        unit_id=unit_id,
        evidence={"numbers": {"lastEventAt": seen}, **evidence},
    )
