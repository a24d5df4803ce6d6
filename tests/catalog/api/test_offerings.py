import pytest

from catalog.models import Offering
from tests.clients import operator_client
from tests.factories import RatePlanFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


@pytest.fixture
def post(client, tenant):
    plan = RatePlanFactory(tenant=tenant)

    def post(**fields):
        body = {"code": "pro", "name": "Pro", "primaryRatePlanId": str(plan.id), **fields}
        return client.post("/api/v1/offerings", body)

    return post


def test_an_offering_is_sold_at_once(post, tenant):
    other = RatePlanFactory(tenant=tenant)
    answer = post(
        type="STANDALONE",
        status="ACTIVE",
        billingMode="POSTPAID",
        currency="USD",
        trialDays=0,
        ratePlanIds=[str(other.id)],
    )
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["status"], shown["billingMode"], shown["currency"]) == (
        "ACTIVE",
        "POSTPAID",
        "USD",
    )
    assert shown["ratePlanIds"] == [shown["primaryRatePlanId"], str(other.id)]
    assert shown["data"]["id"] == shown["id"] == str(Offering.objects.get().id)


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID"])
def test_what_needs_a_wallet_is_refused(post, mode):
    answer = post(billingMode=mode)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["errors"][0]["field"] == "billingMode"
    assert f"billingMode: '{mode}' is not supported, only POSTPAID is" in problem["detail"]
    assert Offering.objects.count() == 0


def test_an_offering_may_begin_with_a_trial(client, post):
    shown = post(trialDays=14).json()
    assert shown["trialDays"] == 14
    path = f"/api/v1/offerings/{shown['id']}"
    assert client.patch(path, {"trialDays": 7}).json()["trialDays"] == 7
    assert post(code="other", trialDays=-1).status_code == 422


def test_a_code_is_taken_once(post):
    post()
    assert post().status_code == 409


def test_plans_of_another_tenant_are_not_found(post):
    foreign = str(RatePlanFactory().id)
    plans = {"primaryRatePlanId": foreign}, {"ratePlanIds": [foreign]}
    for asked, field in zip(plans, ("primaryRatePlanId", "ratePlanIds[0]"), strict=True):
        answer = post(**asked)
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["field"] == field


def test_an_offering_is_renamed_filtered_and_archived(client, post):
    path = f"/api/v1/offerings/{post().json()['id']}"
    assert client.patch(path, {"name": "Team"}).json()["name"] == "Team"
    assert client.get("/api/v1/offerings?code=pro").json()["totalElements"] == 1
    assert client.get("/api/v1/offerings?code=free").json()["totalElements"] == 0
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["status"] == "ARCHIVED"
