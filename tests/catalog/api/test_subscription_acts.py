"""Acts on subscriptions over HTTP: what they take, what they answer, what they refuse."""

from datetime import UTC, datetime

import pytest

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from catalog.models import Subscription
from tests.clients import operator_client
from tests.factories import (
    CustomerFactory,
    OfferingFactory,
    RatePlanVersionFactory,
    SandboxFactory,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


@pytest.fixture
def tenant():
    return SandboxFactory(clock_frozen_at=NOW)


@pytest.fixture
def client(tenant):
    return operator_client(tenant, role="OWNER")


@pytest.fixture
def sell(tenant):
    def sell(trial_days=0, **fields):
        version = RatePlanVersionFactory(tenant=tenant, published=True, **fields)
        return OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan], trial_days=trial_days)

    return sell


@pytest.fixture
def subscribe(client, tenant, sell):
    """The path of a subscription since 1 March."""

    def subscribe(offering=None, **fields):
        customer = CustomerFactory(tenant=tenant)
        answer = client.post(
            "/api/v1/subscriptions",
            {
                "offeringId": str((offering or sell()).id),
                "customerId": customer.external_id,
                "startDate": "2026-03-01",
                **fields,
            },
        )
        assert answer.status_code == 201, answer.json()
        return f"/api/v1/subscriptions/{answer.json()['id']}"

    return subscribe


def starts(client, path):
    page = client.get(f"{path}/periods").json()
    return [(row["kind"], row["startAt"]) for row in page["content"]]


def test_every_term_of_a_subscription_is_taken_and_answered(client, subscribe):
    path = subscribe(
        billingCycle="QUARTERLY",
        billingAnchor="CALENDAR",
        billingAnchorDay=15,
        billingAnchorMonth=2,
        trialEndsAt="2026-03-20T00:00:00Z",
        autoConvertPaid=False,
        invoiceThreshold="250.5",
    )
    shown = client.get(path).json()
    told = (
        "status",
        "billingCycle",
        "cycleCount",
        "billingAnchorDay",
        "billingAnchorMonth",
        "trialEndsAt",
        "autoConvertPaid",
        "invoiceThreshold",
    )
    assert [shown[name] for name in told] == [
        "TRIALING",
        "QUARTERLY",
        1,
        15,
        2,
        "2026-03-20T00:00:00Z",
        False,
        "250.5",
    ]


def test_pausing_and_resuming(client, subscribe, tenant):
    path = subscribe()
    paused = client.post(f"{path}/pause", {"reason": "on leave"})
    assert (paused.status_code, paused.json()["status"]) == (200, "PAUSED")
    assert starts(client, path) == [("REGULAR", "2026-03-01T00:00:00Z")]
    tenant.clock_frozen_at = datetime(2026, 3, 20, tzinfo=UTC)
    tenant.save()
    assert client.post(f"{path}/resume").json()["status"] == "ACTIVE"
    assert starts(client, path)[:2] == [
        ("REGULAR", "2026-03-01T00:00:00Z"),
        ("REGULAR", "2026-03-20T00:00:00Z"),
    ]
    phases = client.get(f"{path}/phases").json()["content"]
    assert [(row["status"], row["reason"]) for row in phases] == [
        ("CREATED", ""),
        ("ACTIVE", ""),
        ("PAUSED", "on leave"),
        ("ACTIVE", ""),
    ]


def test_a_suspension_cuts_no_period_and_is_lifted(client, subscribe):
    path = subscribe()
    periods = starts(client, path)
    assert client.post(f"{path}/reinstate").json()["status"] == "ACTIVE"
    for _ in range(2):
        suspended = client.post(f"{path}/suspend", {"reason": "unpaid"})
        assert (suspended.status_code, suspended.json()["status"]) == (200, "SUSPENDED")
    for act in ("pause", "resume"):
        assert client.post(f"{path}/{act}").status_code == 409
    assert client.post(f"{path}/reinstate").json()["status"] == "ACTIVE"
    assert starts(client, path) == periods
    client.post(f"{path}/pause")
    for act in ("suspend", "reinstate"):
        refused = client.post(f"{path}/{act}")
        assert (refused.status_code, refused.json()["code"]) == (409, "ILLEGAL_TRANSITION")
    told = OutboxMessage.objects.order_by("id").values_list("fact", flat=True)
    assert list(told)[2:4] == ["subscription.suspended", "subscription.activated"]


@pytest.mark.parametrize("act", ["upgrade", "downgrade"])
def test_changing_the_offering_now(client, subscribe, sell, act):
    path, target = subscribe(), sell()
    answer = client.post(f"{path}/{act}", {"targetOfferingId": str(target.id), "reason": "asked"})
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["offeringId"], shown["effectiveAt"]) == (
        str(target.id),
        "2026-03-15T12:00:00Z",
    )
    assert [(plan["startAt"], plan["endAt"]) for plan in shown["plans"]] == [
        (None, "2026-03-15T12:00:00Z"),
        ("2026-03-15T12:00:00Z", None),
    ]
    again = client.post(f"{path}/{act}", {"targetOfferingId": str(target.id)})
    assert again.status_code == 409


def test_changing_the_offering_when_the_period_ends(client, subscribe, sell):
    path, target = subscribe(), sell()
    shown = client.post(
        f"{path}/downgrade", {"targetOfferingId": str(target.id), "when": "PERIOD_END"}
    ).json()
    assert shown["offeringId"] != str(target.id) == shown["nextOfferingId"]
    assert shown["effectiveAt"] == shown["nextOfferingAt"] == "2026-04-01T00:00:00Z"


def test_migrating_tells_what_is_given_back(client, subscribe, sell):
    path = subscribe(sell(base_fee=62, base_fee_timing="ADVANCE"))
    answer = client.post(
        f"{path}/migrate-with-proration",
        {"targetOfferingId": str(sell().id), "reason": "moved", "autoSettleRefund": True},
    )
    shown = answer.json()
    subscription = Subscription.objects.get()
    assert shown["sourceSubscriptionId"] == shown["targetSubscriptionId"] == str(subscription.id)
    assert (shown["calendarRefundUsd"], shown["currency"]) == ("33", "USD")


def test_converting_a_trial(client, subscribe, sell):
    path = subscribe(sell(trial_days=30))
    assert client.get(path).json()["status"] == "TRIALING"
    assert client.post(f"{path}/convert-trial").json()["status"] == "ACTIVE"
    assert starts(client, path)[:2] == [
        ("TRIAL", "2026-03-01T00:00:00Z"),
        ("REGULAR", "2026-03-15T12:00:00Z"),
    ]
    assert client.post(f"{subscribe()}/convert-trial").status_code == 409


def test_moving_to_another_version(client, subscribe, tenant):
    path = subscribe()
    plan = Subscription.objects.get().plans.get().version.rate_plan
    newer = RatePlanVersionFactory(tenant=tenant, rate_plan=plan, number=2, published=True)
    answer = client.post(f"{path}/move-to-version", {"versionId": str(newer.id), "reason": "deal"})
    assert answer.status_code == 200
    assert [row["version"] for row in answer.json()["plans"]] == [1, 2]
    assert AuditEntry.objects.get(action="SUBSCRIPTION_MOVED_TO_VERSION").reason == "deal"
    foreign = RatePlanVersionFactory(published=True)
    assert client.post(f"{path}/move-to-version", {"versionId": str(foreign.id)}).status_code == 404


def test_cancelling_with_the_period(client, subscribe):
    path = subscribe()
    shown = client.post(f"{path}/cancel", {"when": "PERIOD_END"}).json()
    assert (shown["status"], shown["endAt"], shown["cancelsAtEnd"]) == (
        "ACTIVE",
        "2026-04-01T00:00:00Z",
        True,
    )


def test_a_key_of_a_subscription_is_shown_once_and_revoked_with_it(client, subscribe):
    path = subscribe()
    answer = client.post(f"{path}/keys", {"name": "server"})
    assert answer.status_code == 201
    issued = answer.json()
    assert issued["secret"].startswith("sk_test_")
    (listed,) = client.get(f"{path}/keys").json()["content"]
    assert (listed["key"]["status"], "secret" in listed) == ("ACTIVE", False)
    client.post(f"{path}/cancel")
    (listed,) = client.get(f"{path}/keys").json()["content"]
    assert listed["key"]["status"] == "REVOKED"
    assert client.get(f"/api/v1/api-keys/{listed['key']['id']}").json()["status"] == "REVOKED"
    assert client.post(f"{path}/keys", {"name": "late"}).status_code == 409


@pytest.mark.parametrize("act", ["pause", "resume", "convert-trial"])
def test_what_is_cancelled_stays_so(client, subscribe, sell, act):
    path = subscribe(sell(trial_days=30))
    client.post(f"{path}/cancel")
    answer = client.post(f"{path}/{act}")
    assert (answer.status_code, answer.json()["code"]) == (409, "ILLEGAL_TRANSITION")


@pytest.mark.parametrize("act", ["upgrade", "downgrade", "migrate-with-proration"])
def test_an_offering_of_another_tenant_is_not_found(client, subscribe, act):
    answer = client.post(f"{subscribe()}/{act}", {"targetOfferingId": str(OfferingFactory().id)})
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["field"] == "targetOfferingId"


def test_a_member_only_reads(tenant, subscribe):
    path = subscribe()
    member = operator_client(tenant, role="MEMBER")
    assert member.get(f"{path}/phases").status_code == 200
    for act in ("pause", "cancel", "keys"):
        assert member.post(f"{path}/{act}", {"name": "x"}).status_code == 403
