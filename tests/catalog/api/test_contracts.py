import pytest

from catalog.models import Contract
from tests.clients import operator_client
from tests.factories import (
    BillableUnitFactory,
    ContractFactory,
    CustomerFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db
URL = "/api/v1/contracts"


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


@pytest.fixture
def customer(tenant):
    return CustomerFactory(tenant=tenant, external_id="acme")


@pytest.fixture
def post(client, customer):
    def post(**fields):
        body = {"customerId": "acme", "name": "Acme", "startDate": "2026-04-01", "termMonths": 12}
        given = {key: value for key, value in (body | fields).items() if value is not None}
        return client.post(URL, given)

    return post


def fault(answer):
    (error,) = answer.json()["errors"]
    return answer.status_code, error["field"], error["code"]


def test_a_contract_is_a_draft_of_one_phase(post, customer):
    answer = post()
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["status"], shown["currency"]) == ("DRAFT", "USD")
    assert shown["customerId"] == str(customer.id)
    assert shown["customerExternalId"] == "acme"
    assert (shown["startAt"], shown["endAt"]) == ("2026-04-01T00:00:00Z", "2027-04-01T00:00:00Z")
    assert (shown["minimumSpend"], shown["maximumSpend"]) == ("0", None)
    (phase,) = shown["phases"]
    assert (phase["startAt"], phase["endAt"]) == (shown["startAt"], shown["endAt"])
    assert (phase["minimumSpend"], phase["discountPercent"], phase["prices"]) == (None, "0", [])


def test_a_ramp_with_prices_is_agreed_at_once(post, tenant):
    calls = BillableUnitFactory(tenant=tenant, name="calls")
    seats = BillableUnitFactory(tenant=tenant, name="seats")
    answer = post(
        status="ACTIVE",
        minimumSpend="12000",
        phases=[
            {"minimumSpend": 500, "prices": [{"metricName": "calls", "rate": "0.009"}]},
            {
                "monthOffset": 6,
                "minimumSpend": "1000.50",
                "maximumSpend": 2000,
                "discountPercent": 5,
                "prices": [
                    {
                        "metricId": str(calls.id),
                        "model": "GRADUATED",
                        "tiers": [
                            {"tierEnd": 1000, "unitPrice": "0.01"},
                            {"tierEnd": -1, "unitPrice": "0.005"},
                        ],
                    },
                    {"metricId": str(seats.id), "includedFree": "25"},
                ],
            },
        ],
    )
    assert answer.status_code == 201, answer.json()
    shown = answer.json()
    assert shown["status"] == "ACTIVE"
    assert shown["activatedAt"]
    first, second = shown["phases"]
    assert first["endAt"] == second["startAt"] == "2026-10-01T00:00:00Z"
    assert (first["prices"][0]["model"], first["prices"][0]["terms"]["rate"]) == (
        "PER_UNIT",
        "0.009",
    )
    assert (second["minimumSpend"], second["maximumSpend"]) == ("1000.5", "2000")
    graduated, allowance = second["prices"]
    assert (graduated["metricName"], graduated["model"]) == ("calls", "GRADUATED")
    assert (allowance["metricName"], allowance["terms"]) == ("seats", None)
    assert allowance["includedFree"] == "25"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"customerId": "nobody"}, (404, "customerId", "NOT_FOUND")),
        ({"startDate": None}, (422, "startAt", "REQUIRED")),
        ({"startAt": "2026-04-01T00:00:00Z"}, (422, "startAt", "AMBIGUOUS")),
        ({"endDate": "2027-01-01"}, (422, "endAt", "REQUIRED")),
        ({"termMonths": None}, (422, "endAt", "REQUIRED")),
        ({"phases": [{"monthOffset": 1}]}, (422, "phases[0]", "INVALID")),
        (
            {"phases": [{"prices": [{"metricName": "gpu", "rate": 1}]}]},
            (404, "phases[0].prices[0].metricName", "NOT_FOUND"),
        ),
        (
            {"phases": [{"prices": [{"rate": 1}]}]},
            (422, "phases[0].prices[0].metricId", "REQUIRED"),
        ),
        (
            {"phases": [{"prices": [{"metricName": "calls"}]}]},
            (422, "phases[0].prices[0]", "REQUIRED"),
        ),
        (
            {"phases": [{"prices": [{"metricName": "calls", "includedFree": "many"}]}]},
            (422, "phases[0].prices[0].includedFree", "INVALID_TERMS"),
        ),
        (
            {"phases": [{"prices": [{"metricName": "calls", "rate": -1}]}]},
            (422, "phases[0].prices[0].rate", "INVALID_TERMS"),
        ),
    ],
)
def test_what_is_wrong_is_named_where_it_was_written(post, tenant, fields, told):
    BillableUnitFactory(tenant=tenant, name="calls")
    assert fault(post(**fields)) == told
    assert not Contract.objects.for_tenant(tenant).exists()


def test_one_that_cannot_be_agreed_is_not_written_either(post, tenant):
    answer = post(status="ACTIVE", startDate="2020-01-01")
    assert fault(answer) == (422, "endAt", "IN_THE_PAST")
    assert not Contract.objects.for_tenant(tenant).exists()


def test_dates_begin_where_the_subscription_is_billed(post, tenant, customer):
    subscription = SubscriptionFactory(tenant=tenant, customer=customer, time_zone="Asia/Tokyo")
    shown = post(subscriptionId=str(subscription.id)).json()
    assert shown["startAt"] == "2026-03-31T15:00:00Z"
    assert shown["endAt"] == "2027-03-31T15:00:00Z"
    assert shown["subscriptionId"] == str(subscription.id)


def test_a_draft_is_edited_agreed_and_given_up(client, post):
    path = f"{URL}/{post().json()['id']}"
    edited = client.patch(
        path, {"endDate": "2028-04-01", "phases": [{}, {"monthOffset": 12, "minimumSpend": 5}]}
    ).json()
    assert [phase["startAt"] for phase in edited["phases"]] == [
        "2026-04-01T00:00:00Z",
        "2027-04-01T00:00:00Z",
    ]
    for _ in range(2):
        assert client.post(f"{path}/activate").json()["status"] == "ACTIVE"
    assert client.patch(path, {"minimumSpend": 5}).status_code == 409
    assert client.patch(path, {"autoRenew": True}).json()["autoRenew"] is True
    for _ in range(2):
        answer = client.post(f"{path}/terminate", {"reason": "moved away"})
        assert answer.json()["status"] == "TERMINATED"
    assert client.post(f"{path}/activate").status_code == 409
    assert client.get(path).json()["status"] == "TERMINATED"


def test_lists_are_filtered(client, tenant, customer):
    mine = ContractFactory(tenant=tenant, customer=customer)
    ContractFactory(tenant=tenant, phases=({},), agreed=True)

    def ids(query):
        return [row["id"] for row in client.get(f"{URL}?{query}").json()["content"]]

    assert len(ids("")) == 2
    assert ids("customerId=acme") == ids("status=DRAFT") == [str(mine.id)]
    assert ids("endsBefore=2026-01-01T00:00:00Z") == []


def test_a_page_takes_as_many_statements_as_a_row(client, tenant, django_assert_max_num_queries):
    for _ in range(3):
        ContractFactory(tenant=tenant, phases=({},))
    with django_assert_max_num_queries(8):
        client.get(URL)


def test_those_who_only_read_or_price_agree_nothing(post, tenant, customer):
    for role in ("MEMBER", "DEVELOPER", "PRODUCT_MANAGER"):
        body = {"customerId": "acme", "name": "Acme", "startDate": "2026-04-01", "termMonths": 1}
        assert operator_client(tenant, role=role).post(URL, body).status_code == 403


@pytest.mark.parametrize(
    ("term", "field"),
    [
        ({"startDate": "9999-12-31"}, "startDate"),
        ({"startDate": "0001-01-01"}, "startDate"),
        ({"startDate": None, "startAt": "9999-12-31T23:59:59Z"}, "startAt"),
        ({"termMonths": None, "endAt": "9999-12-31T23:59:59Z"}, "endAt"),
        ({"termMonths": None, "endDate": "9999-12-31"}, "endDate"),
    ],
)
def test_a_term_that_no_calendar_reaches_is_refused(post, term, field):
    assert fault(post(**term)) == (422, field, "INVALID")
