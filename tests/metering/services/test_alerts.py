"""Alerts are open once per subject, raised again only after they have recovered, and told."""

from datetime import timedelta

import pytest

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from metering.models import Alert, AlertKind, Severity
from metering.services.alerts import (
    Finding,
    acknowledge_alert,
    raise_alert,
    raise_alerts,
    recover_alert,
)
from tests.factories import NOW, TenantFactory

HOUR = timedelta(hours=1)


@pytest.fixture
def tenant(db):
    return TenantFactory()


def finding(tenant, subject="cust_1:calls", **fields):
    return Finding(tenant.pk, AlertKind.USAGE_ANOMALY, subject, f"{subject} is unusual", **fields)


def test_an_alert_is_raised_once_and_again_after_it_has_recovered(tenant):
    first = raise_alert(finding(tenant, evidence={"numbers": {"value": "7"}}), now=NOW)
    assert raise_alert(finding(tenant, evidence={"numbers": {"value": "9"}}), now=NOW) is None
    assert raise_alert(finding(tenant), now=NOW + HOUR) is None
    kept = Alert.objects.get()
    assert (kept.pk, kept.occurrences, kept.last_seen_at) == (first, 2, NOW + HOUR)
    assert (kept.raised_at, kept.evidence) == (NOW, {"numbers": {"value": "7"}})

    subject = {"tenant_id": tenant.pk, "kind": AlertKind.USAGE_ANOMALY, "subject": "cust_1:calls"}
    assert recover_alert(**subject, now=NOW + 2 * HOUR)
    assert not recover_alert(**subject, now=NOW + 3 * HOUR)
    second = raise_alert(finding(tenant), now=NOW + 4 * HOUR)
    assert second is not None
    states = Alert.objects.order_by("pk").values_list("pk", "state", "recovered_at")
    assert list(states) == [(first, "RECOVERED", NOW + 2 * HOUR), (second, "OPEN", None)]


def test_only_what_is_new_is_told_with_the_payload_beside_the_alert(tenant):
    told = {"fact": "usage.anomaly_detected", "payload": {"customerId": "cust_1"}}
    raise_alert(finding(tenant, "a", **told), now=NOW)
    opened = raise_alerts([finding(tenant, "a", **told), finding(tenant, "b", **told)], now=NOW)

    assert [one.subject for one in opened.values()] == ["b"]
    messages = OutboxMessage.objects.order_by("payload__title")
    assert [one.payload["title"] for one in messages] == ["a is unusual", "b is unusual"]
    (alert_id,) = opened
    assert messages[1].subject == messages[1].payload["alertId"] == str(alert_id)
    assert messages[1].payload["customerId"] == "cust_1"
    assert messages[1].payload["severity"] == Severity.WARNING


def test_tenants_and_kinds_have_alerts_of_their_own(tenant):
    other = TenantFactory()
    assert raise_alerts([finding(tenant), finding(other)], now=NOW)
    drop = Finding(tenant.pk, AlertKind.USAGE_DROP, "cust_1:calls", "it dropped")
    assert raise_alert(drop, now=NOW)
    assert Alert.objects.filter(state="OPEN").count() == 3
    assert raise_alerts([], now=NOW) == {}


def test_who_acknowledges_first_stays_and_is_audited(tenant):
    raise_alert(finding(tenant), now=NOW)
    alert = Alert.objects.get()
    for name in ("first", "second"):
        actor = Actor.system(name)
        kept = acknowledge_alert(alert=alert, actor=actor, reason=f"{name} saw it", now=NOW)
    assert (kept.acknowledged_by, kept.reason, kept.state) == ("first", "first saw it", "OPEN")
    entry = AuditEntry.objects.get(action="ALERT_ACKNOWLEDGED")
    assert (entry.actor_name, entry.reason, entry.target_id) == (
        "first",
        "first saw it",
        str(alert.pk),
    )
