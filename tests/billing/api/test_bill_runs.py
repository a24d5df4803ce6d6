from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import BillRun, Invoice
from billing.services import bill_pages
from billing.services.bill_runs import advance_run
from catalog.models import Offering
from tests.billing.build import priced_subscription
from tests.billing.metered import meter
from tests.clients import operator_client
from tests.factories import SandboxFactory, TenantFactory

pytestmark = pytest.mark.django_db
RUNS = "/api/v1/bill-runs"
NOW = datetime(2026, 4, 2, tzinfo=UTC)
PER_CALL = {"model": "PER_UNIT", "rate": "1"}
MARCH = {
    "billingPeriodStart": "2026-03-01T00:00:00Z",
    "billingPeriodEnd": "2026-04-01T00:00:00Z",
    "billingPeriodLabel": "March 2026",
    "autoFinalize": True,
}


def work(run_id):
    advance_run(run_id=run_id, now=NOW)
    bill_pages.bill_page(run_id=run_id, page=0, now=NOW)


def test_a_run_is_made_executed_and_watched_to_its_end(queued):
    period, (unit,) = priced_subscription(PER_CALL)
    meter(period, unit, [1, 1])
    client = operator_client(period.tenant)

    made = client.post(RUNS, MARCH)

    assert made.status_code == 201
    run_id = made.json()["data"]["id"]
    assert (made.json()["status"], made.json()["progressPct"]) == ("CREATED", 0)
    assert (made.json()["targetScope"], made.json()["environment"]) == ("ALL", "LIVE")
    started = client.post(f"{RUNS}/{run_id}/execute")
    assert (started.status_code, started.json()["status"]) == (202, "WAITING")
    work(run_id)
    ended = client.get(f"{RUNS}/{run_id}").json()
    assert ended["data"]["status"] == "COMPLETED"
    assert (ended["invoicesGenerated"], ended["customersProcessed"]) == (1, 1)
    assert (ended["progressPct"], ended["failures"]) == (100, [])
    assert isinstance(ended["durationMs"], int)
    assert ended["success"] is True


def test_an_overlapping_run_is_a_conflict(queued):
    client = operator_client(TenantFactory())
    client.post(RUNS, MARCH, HTTP_IDEMPOTENCY_KEY="one")
    answer = client.post(RUNS, MARCH, HTTP_IDEMPOTENCY_KEY="two")
    assert answer.status_code == 409
    assert answer.json()["code"] == "BILL_RUN_CONFLICT"
    again = client.post(RUNS, MARCH, HTTP_IDEMPOTENCY_KEY="one")
    assert again.status_code == 201
    assert BillRun.objects.count() == 1


@pytest.mark.parametrize("field", ["billingPeriodStart", "billingPeriodEnd"])
@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_window_that_no_calendar_reaches_is_refused(field, when):
    answer = operator_client(TenantFactory()).post(RUNS, MARCH | {field: when})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert not BillRun.objects.exists()


def test_executing_twice_is_answered_alike(queued):
    client = operator_client(TenantFactory())
    run_id = client.post(RUNS, MARCH).json()["id"]
    answers = [client.post(f"{RUNS}/{run_id}/execute") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["startedAt"] == answers[1].json()["startedAt"]


def test_a_failed_period_is_named_with_its_stage(queued):
    period, _ = priced_subscription(PER_CALL)
    Offering.objects.update(billing_mode="PREPAID")
    client = operator_client(period.tenant)
    run_id = client.post(RUNS, MARCH).json()["id"]
    client.post(f"{RUNS}/{run_id}/execute")
    work(run_id)
    answer = client.get(f"{RUNS}/{run_id}").json()
    assert (answer["status"], answer["invoicesFailed"]) == ("FAILED", 1)
    (failure,) = answer["failures"]
    assert failure["stage"] == "Route"
    assert failure["subscriptionId"] == str(period.subscription_id)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"billingPeriodEnd": "2026-03-01T00:00:00Z"}, 422),
        ({"billingPeriodStart": "tomorrow"}, 422),
        ({"targetScope": "PLANET"}, 422),
        ({"targetScope": "CUSTOMER"}, 422),
        ({"targetScope": "CUSTOMER", "targetId": "nobody"}, 422),
        ({"environment": "TEST"}, 422),
        ({"environment": "LIVE"}, 201),
    ],
)
def test_contradictory_runs_are_refused(queued, changed, status):
    client = operator_client(TenantFactory())
    assert client.post(RUNS, MARCH | changed).status_code == status
    assert BillRun.objects.count() == (status == 201)


def test_a_scope_takes_an_id_or_the_name_of_its_target(queued):
    period, _ = priced_subscription(PER_CALL)
    client, subscription = operator_client(period.tenant), period.subscription
    targets = [
        ("CUSTOMER", subscription.customer.external_id, subscription.customer_id),
        ("CUSTOMER", str(subscription.customer_id), subscription.customer_id),
        ("SUBSCRIPTION", str(subscription.id), subscription.id),
        ("OFFERING", subscription.offering.code, subscription.offering_id),
    ]
    for scope, target, expected in targets:
        answer = client.post(RUNS, MARCH | {"targetScope": scope, "targetId": target})
        assert answer.json()["targetId"] == str(expected)
        BillRun.objects.all().delete()


def test_another_tenants_target_is_no_target(queued):
    period, _ = priced_subscription(PER_CALL)
    asked = MARCH | {"targetScope": "CUSTOMER", "targetId": str(period.subscription.customer_id)}
    assert operator_client(TenantFactory()).post(RUNS, asked).status_code == 422


def test_a_sandbox_says_so(queued):
    answer = operator_client(SandboxFactory()).post(RUNS, MARCH)
    assert answer.json()["environment"] == "TEST"


def test_another_tenants_run_is_not_there(queued):
    run_id = operator_client(TenantFactory()).post(RUNS, MARCH).json()["id"]
    stranger = operator_client(TenantFactory())
    assert stranger.get(f"{RUNS}/{run_id}").status_code == 404
    assert stranger.post(f"{RUNS}/{run_id}/execute").status_code == 404
    assert stranger.get(RUNS).json()["totalElements"] == 0
    assert BillRun.objects.get().status == "CREATED"


def test_a_reader_may_not_bill(queued):
    client = operator_client(TenantFactory(), role="MEMBER")
    assert client.post(RUNS, MARCH).status_code == 403
    assert client.get(RUNS).status_code == 200


def test_a_list_of_runs_costs_the_same_for_one_and_many(queued):
    tenant = TenantFactory()
    client = operator_client(tenant)
    counts = []
    for month in range(1, 6):
        client.post(
            RUNS,
            {
                "billingPeriodStart": f"2026-0{month}-01T00:00:00Z",
                "billingPeriodEnd": f"2026-0{month + 1}-01T00:00:00Z",
            },
        )
        with CaptureQueriesContext(connection) as queries:
            assert client.get(RUNS).json()["totalElements"] == month
        counts.append(len(queries))
    assert len(set(counts)) == 1
    assert not Invoice.objects.exists()


def test_another_environment_is_refused_by_its_field(queued):
    answer = operator_client(TenantFactory()).post(RUNS, MARCH | {"environment": "TEST"})
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("environment", "MISMATCH")
