"""Alerts are raised once, close when what they say has passed, and are acknowledged by people."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from aforo.ids import new_id
from aforo.outbox.services import publish_many
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from metering.models import Alert, AlertKind, Severity

# Found again while it is open, an alert only says so: its evidence is that of the first time.
_RAISE = """
    INSERT INTO alerts (id, tenant_id, kind, subject, severity, state, title, customer_id, unit_id,
        subscription_id, evidence, raised_at, last_seen_at, occurrences)
    SELECT id, tenant_id, kind, subject, severity, 'OPEN', title, customer_id, unit_id,
        subscription_id, evidence, %(now)s, %(now)s, 1
    FROM unnest(%(ids)s::uuid[], %(tenants)s::uuid[], %(kinds)s::text[], %(subjects)s::text[],
                %(severities)s::text[], %(titles)s::text[], %(customers)s::uuid[],
                %(units)s::uuid[], %(subscriptions)s::uuid[], %(evidence)s::jsonb[])
        AS found (id, tenant_id, kind, subject, severity, title, customer_id, unit_id,
                  subscription_id, evidence)
    ORDER BY tenant_id, kind, subject
    ON CONFLICT (tenant_id, kind, subject) WHERE state = 'OPEN' DO UPDATE SET
        last_seen_at = excluded.last_seen_at, occurrences = alerts.occurrences + 1
    WHERE alerts.last_seen_at < excluded.last_seen_at
    RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a monitor or a guard says of one subject.

    `evidence` is JSON: `numbers` by name, `events` as `{firstId, lastId, count}`, and `chart` as
    `{labels, values}`. With a `fact`, `payload` is published beside what every alert says.
    """

    tenant_id: UUID
    kind: AlertKind
    subject: str
    title: str
    severity: Severity = Severity.WARNING
    customer_id: UUID | None = None
    unit_id: UUID | None = None
    subscription_id: UUID | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    fact: str = ""
    payload: Mapping[str, object] = field(default_factory=dict)


def raise_alert(finding: Finding, *, now: datetime) -> UUID | None:
    """`raise_alerts` of one: the id of its alert, None when it was open already."""
    return next(iter(raise_alerts([finding], now=now)), None)


@transaction.atomic
def raise_alerts(findings: Sequence[Finding], *, now: datetime) -> dict[UUID, Finding]:
    """Open an alert for each finding that has none open, and publish its fact; those, by id.

    `now` is that of the tenants' clock. May run twice: what is open stays as it is, and the same
    moment does not count as seen again. One finding per subject.
    """
    if not findings:
        return {}
    given = {new_id(): finding for finding in findings}
    with connection.cursor() as cursor:
        cursor.execute(_RAISE, _columns(given) | {"now": now})
        touched = {row[0] for row in cursor.fetchall()}
    opened = {alert_id: one for alert_id, one in given.items() if alert_id in touched}
    _publish(opened, now=now)
    return opened


def recover_alerts(
    *, tenant_id: UUID, kind: AlertKind, subjects: Collection[str], now: datetime
) -> int:
    """Close what is open of these subjects: the next finding raises an alert again."""
    if not subjects:
        return 0
    rows = Alert.objects.for_tenant(tenant_id).filter(
        kind=kind, subject__in=subjects, state=Alert.State.OPEN
    )
    return rows.update(state=Alert.State.RECOVERED, recovered_at=now)


def recover_alert(*, tenant_id: UUID, kind: AlertKind, subject: str, now: datetime) -> bool:
    """Whether there was one to close."""
    return recover_alerts(tenant_id=tenant_id, kind=kind, subjects=[subject], now=now) > 0


@transaction.atomic
def acknowledge_alert(*, alert: Alert, actor: Actor, reason: str, now: datetime) -> Alert:
    """Note that somebody has seen to it, and why; who was first stays."""
    kept: Alert = Alert.objects.for_tenant(alert.tenant_id).select_for_update().get(pk=alert.pk)
    if kept.acknowledged_at is not None:
        return kept
    kept.acknowledged_at = now
    kept.acknowledged_by = actor.name[:200]
    kept.reason = reason
    kept.save(update_fields=["acknowledged_at", "acknowledged_by", "reason"])
    audit.record(
        tenant=kept.tenant_id,
        actor=actor,
        action="ALERT_ACKNOWLEDGED",
        target=kept,
        now=now,
        reason=reason,
    )
    return kept


def _columns(given: Mapping[UUID, Finding]) -> dict[str, Any]:
    found = given.values()
    return {
        "ids": list(given),
        "tenants": [one.tenant_id for one in found],
        "kinds": [one.kind.value for one in found],
        "subjects": [one.subject for one in found],
        "severities": [one.severity.value for one in found],
        "titles": [one.title[:300] for one in found],
        "customers": [one.customer_id for one in found],
        "units": [one.unit_id for one in found],
        "subscriptions": [one.subscription_id for one in found],
        "evidence": [json.dumps(one.evidence) for one in found],
    }


def _publish(opened: Mapping[UUID, Finding], *, now: datetime) -> None:
    payloads: defaultdict[tuple[UUID, str], dict[UUID, dict[str, object]]] = defaultdict(dict)
    for alert_id, one in opened.items():
        if one.fact:
            payloads[one.tenant_id, one.fact][alert_id] = {
                "alertId": str(alert_id),
                "kind": one.kind.value,
                "severity": one.severity.value,
                "title": one.title,
                "raisedAt": now.isoformat(),
                **one.payload,
            }
    for (tenant_id, fact), said in payloads.items():
        publish_many(tenant_id=tenant_id, fact=fact, payloads=said, now=now)
