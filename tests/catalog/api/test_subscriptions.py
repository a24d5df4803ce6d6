from datetime import UTC, datetime

import pytest

from catalog.models import Subscription
from tests.clients import operator_client
from tests.factories import (
    BillingEntityFactory,
    CustomerFactory,
    OfferingFactory,
    RatePlanVersionFactory,
    SandboxFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


@pytest.fixture
def tenant():
    return SandboxFactory(clock_frozen_at=NOW)


@pytest.fixture
def client(tenant):
    return operator_client(tenant, role="BILLING_ADMIN")


@pytest.fixture
def version(tenant):
    return RatePlanVersionFactory(tenant=tenant, published=True)


@pytest.fixture
def offering(tenant, version):
    return OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan])


@pytest.fixture
def post(client, tenant, offering):
    customer = CustomerFactory(tenant=tenant, external_id="cust_1")

    def post(**fields):
        body = {"offeringId": str(offering.id), "customerId": str(customer.id), **fields}
        return client.post("/api/v1/subscriptions", body)

    return post


def test_a_customer_subscribes(post, version):
    answer = post(
        billingCycle="MONTHLY",
        startDate="2026-03-01",
        endDate=None,
        startTrial=False,
        trialEndsAt=None,
    )
    assert answer.status_code == 201
    shown = answer.json()
    subscription = Subscription.objects.get()
    assert shown["id"] == shown["data"]["id"] == str(subscription.id)
    assert (shown["customerId"], shown["customerExternalId"]) == (
        str(subscription.customer_id),
        "cust_1",
    )
    assert (shown["status"], shown["currency"]) == ("ACTIVE", "USD")
    assert (shown["startAt"], shown["endAt"]) == ("2026-03-01T00:00:00Z", None)
    assert (shown["billingAnchorDay"], shown["timeZone"]) == (1, "UTC")
    assert shown["plans"] == [
        {
            "ratePlanId": str(version.rate_plan_id),
            "name": version.rate_plan.name,
            "versionId": str(version.id),
            "version": 1,
            "startAt": None,
            "endAt": None,
        }
    ]


def test_a_customer_may_be_named_as_events_name_it(post):
    assert post(customerId="cust_1").json()["customerExternalId"] == "cust_1"


def test_the_start_is_now_on_the_tenants_clock(post):
    assert post().json()["startAt"] == "2026-03-15T12:00:00Z"


def test_a_time_without_zone_is_utc(post):
    assert post(startAt="2026-03-01T07:00:00").json()["startAt"] == "2026-03-01T07:00:00Z"


def test_a_date_begins_where_the_billing_entity_is(post, tenant):
    entity = BillingEntityFactory(tenant=tenant, time_zone="America/New_York")
    shown = post(startDate="2026-03-05", billingEntityId=str(entity.id)).json()
    assert (shown["startAt"], shown["timeZone"]) == ("2026-03-05T05:00:00Z", "America/New_York")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"startDate": "01.03.2026"}, "startDate"),
        ({"startDate": "0001-01-01"}, "startDate"),
        ({"startDate": "9999-12-31"}, "startDate"),
        ({"startDate": "2026-03-01", "startAt": "2026-03-01T00:00:00Z"}, "startAt"),
        ({"startDate": "2026-03-01", "endDate": "2026-03-01"}, "endDate"),
        ({"billingAnchorDay": 0}, "billingAnchorDay"),
        ({"billingAnchorDay": 32}, "billingAnchorDay"),
        ({"billingAnchorDay": 99999}, "billingAnchorDay"),
        ({"billingCycle": "FORTNIGHTLY"}, "billingCycle"),
        ({"billingCycle": "WEEKLY", "billingAnchorDay": 8}, "billingAnchorDay"),
        ({"billingAnchorMonth": 3}, "billingAnchorMonth"),
        ({"cycleCount": 3}, "cycleCount"),
        ({"billingAnchor": "LUNAR"}, "billingAnchor"),
        ({"invoiceThreshold": "-1"}, "invoiceThreshold"),
        ({"currency": "EUR"}, "currency"),
        ({"startTrial": True}, "startTrial"),
        ({"trialEndsAt": "2026-03-01T00:00:00Z"}, "trialEndsAt"),
        ({"offeringId": "x"}, "offeringId"),
    ],
)
def test_a_bad_subscription_is_refused_by_field(post, fields, field):
    answer = post(**fields)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert Subscription.objects.count() == 0


def test_what_belongs_to_another_tenant_is_not_found(post):
    foreign = SubscriptionFactory()
    for fields in (
        {"customerId": str(foreign.customer_id)},
        {"customerId": foreign.customer.external_id + "x"},
        {"offeringId": str(foreign.offering_id)},
        {"billingEntityId": str(foreign.billing_entity_id)},
    ):
        answer = post(**fields)
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["field"] == next(iter(fields))


def test_subscribing_twice_is_a_conflict(post):
    post()
    assert post().status_code == 409


def test_the_same_idempotency_key_subscribes_once(client, post, offering):
    body = {"offeringId": str(offering.id), "customerId": "cust_1"}
    headers = {"HTTP_IDEMPOTENCY_KEY": "sub-1"}
    first = client.post("/api/v1/subscriptions", body, **headers)
    again = client.post("/api/v1/subscriptions", body, **headers)
    assert (again.status_code, again.json()) == (201, first.json())
    other = client.post("/api/v1/subscriptions", body | {"billingAnchorDay": 3}, **headers)
    assert other.status_code == 409


def test_periods_are_stored_two_months_ahead(client, post):
    subscription = post(startDate="2026-01-31").json()
    page = client.get(f"/api/v1/subscriptions/{subscription['id']}/periods").json()
    assert [(row["startAt"][:10], row["endAt"][:10]) for row in page["content"]] == [
        ("2026-01-31", "2026-02-28"),
        ("2026-02-28", "2026-03-31"),
        ("2026-03-31", "2026-04-30"),
        ("2026-04-30", "2026-05-31"),
    ]


def test_cancelling_takes_effect_now_or_later(client, post):
    path = f"/api/v1/subscriptions/{post(startDate='2026-03-01').json()['id']}"
    past = client.post(f"{path}/cancel", {"cancelAt": "2026-03-15T11:59:59Z"})
    assert past.status_code == 422
    answer = client.post(f"{path}/cancel", {"reason": "moved"})
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    assert answer.json()["endAt"] == "2026-03-15T12:00:00Z"
    again = client.post(f"{path}/cancel")
    assert (again.status_code, again.json()["endAt"]) == (200, "2026-03-15T12:00:00Z")
    (period,) = client.get(f"{path}/periods").json()["content"]
    assert (period["endAt"], period["wholeEndAt"]) == (
        "2026-03-15T12:00:00Z",
        "2026-04-01T00:00:00Z",
    )


def test_subscriptions_are_filtered(client, tenant, post):
    first = post().json()
    other = SubscriptionFactory(tenant=tenant, state="CANCELLED")

    def ids(query):
        page = client.get(f"/api/v1/subscriptions?{query}").json()
        return {row["id"] for row in page["content"]}

    assert ids("") == {first["id"], str(other.id)}
    assert ids(f"customerId={first['customerId']}") == {first["id"]}
    assert ids("customerId=cust_1") == {first["id"]}
    assert ids("customerId=nobody") == set()
    assert ids("status=CANCELLED") == {str(other.id)}
    assert ids(f"offeringId={other.offering_id}") == {str(other.id)}


@pytest.mark.parametrize("count", [1, 20])
def test_a_list_takes_a_constant_number_of_statements(
    client, tenant, version, django_assert_num_queries, count
):
    for _ in range(count):
        SubscriptionFactory(tenant=tenant, versions=[version])
    with django_assert_num_queries(4):  # the key, the count, the rows, their plans
        assert client.get("/api/v1/subscriptions").json()["totalElements"] == count


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    ("field", "when"),
    [
        ("startDate", "0001-01-01"),
        ("startDate", "9999-12-31"),
        ("startAt", "0001-01-01T00:00:00Z"),
        ("startAt", "9999-12-31T23:59:59Z"),
        ("endDate", "0001-01-01"),
        ("endDate", "9999-12-31"),
        ("endAt", "9999-12-31T23:59:59Z"),
    ],
)
def test_times_that_no_calendar_reaches_are_refused_in_every_zone(post, tenant, zone, field, when):
    BillingEntityFactory(tenant=tenant, time_zone=zone, is_default=True)
    answer = post(**{field: when})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
