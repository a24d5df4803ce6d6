import pytest

from catalog.models import Coupon
from tests.clients import operator_client
from tests.factories import (
    CouponFactory,
    CouponRedemptionFactory,
    OfferingFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db
URL = "/api/v1/coupons"


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


@pytest.fixture
def subscription(tenant):
    return SubscriptionFactory(tenant=tenant, customer__external_id="acme")


def new(client, **fields):
    body = {"code": "SPRING", "discountType": "PERCENTAGE", "discountValue": 12.5, **fields}
    return client.post(URL, body)


def redeem(client, subscription, code, **fields):
    body = {"code": code, "subscriptionId": str(subscription.id), **fields}
    return client.post(f"{URL}/redeem-for-customer?customerId=acme", body)


def test_a_coupon_is_made_as_clients_write_it(client, tenant):
    offering = OfferingFactory(tenant=tenant)
    answer = new(
        client,
        name="Spring sale",
        duration="REPEATING",
        durationInMonths=3,
        maxRedemptions=100,
        validUntil="2027-01-01T00:00:00Z",
        offeringIds=[str(offering.id)],
    )
    assert answer.status_code == 201, answer.json()
    shown = answer.json()
    assert shown["couponId"] == shown["id"]
    assert (shown["discountValue"], shown["duration"]) == ("12.5", "REPEATING")
    assert (shown["maxRedemptions"], shown["maxRedemptionsPerCustomer"]) == (100, 1)
    assert (shown["redemptions"], shown["offeringIds"]) == (0, [str(offering.id)])
    assert new(client).status_code == 409


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"code": "spring"}, "code"),
        ({"discountValue": 101}, "discountValue"),
        ({"discountType": "FIXED_AMOUNT"}, "currency"),
        ({"duration": "REPEATING"}, "durationInMonths"),
        ({"duration": "REPEATING", "durationInMonths": 61}, "durationInMonths"),
        ({"maxRedemptions": 0}, "maxRedemptions"),
    ],
)
def test_what_is_wrong_is_named(client, tenant, fields, field):
    answer = new(client, **fields)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert not Coupon.objects.for_tenant(tenant).exists()


def test_a_coupon_of_nobodys_offering_or_customer_is_not_made(client):
    assert new(client, customerId="nobody").status_code == 404
    assert new(client, offeringIds=[str(OfferingFactory().id)]).status_code == 404


def test_a_coupon_is_redeemed_once_and_taken_back(client, subscription):
    new(client)
    answer = redeem(client, subscription, "SPRING")
    assert answer.status_code == 201, answer.json()
    shown = answer.json()
    assert shown["redemptionId"] == shown["id"]
    assert (shown["code"], shown["customerExternalId"]) == ("SPRING", "acme")
    assert shown["subscriptionId"] == str(subscription.id)
    again = redeem(client, subscription, "SPRING")
    assert (again.status_code, again.json()["code"]) == (409, "COUPON_REDEEMED")
    assert client.get(URL).json()["content"][0]["redemptions"] == 1
    path = f"{URL}/redemptions/{shown['redemptionId']}/revoke"
    for _ in range(2):
        assert client.post(path, {"reason": "mistake"}).json()["revokedAt"]
    assert client.get(URL).json()["content"][0]["redemptions"] == 0
    assert redeem(client, subscription, "SPRING").status_code == 201


def test_who_redeems_what_must_be_there(client, subscription):
    new(client)
    body = {"code": "SPRING"}
    assert client.post(f"{URL}/redeem-for-customer", body).status_code == 400
    assert client.post(f"{URL}/redeem-for-customer?customerId=x", body).status_code == 404
    assert redeem(client, subscription, "AUTUMN").status_code == 404
    assert redeem(client, SubscriptionFactory(), "SPRING").status_code == 404


def test_limits_change_and_an_archived_one_is_redeemed_no_more(client, subscription):
    path = f"{URL}/{new(client).json()['couponId']}"
    assert client.patch(path, {"maxRedemptions": 5}).json()["maxRedemptions"] == 5
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["archivedAt"]
    answer = redeem(client, subscription, "SPRING")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "COUPON_ARCHIVED")


def test_lists_are_filtered(client, tenant, subscription):
    first = CouponRedemptionFactory(
        coupon__tenant=tenant, customer=subscription.customer, subscription=subscription
    )
    second = CouponRedemptionFactory(coupon__tenant=tenant)

    def ids(path):
        return [row["id"] for row in client.get(f"{URL}{path}").json()["content"]]

    assert ids("/redemptions") == [str(first.id), str(second.id)]
    for query in (
        "customerId=acme",
        f"subscriptionId={subscription.id}",
        f"couponId={first.coupon_id}",
        f"code={first.coupon.code}",
    ):
        assert ids(f"/redemptions?{query}") == [str(first.id)]
    assert ids("/redemptions?revoked=true") == []
    assert ids(f"?code={second.coupon.code}") == [str(second.coupon_id)]
    assert ids("?archived=true") == []
    assert ids("?discountType=FIXED_AMOUNT") == []


def test_who_may_make_a_coupon(tenant):
    CouponFactory(tenant=tenant)
    for role, status in (("PRODUCT_MANAGER", 201), ("MEMBER", 403), ("DEVELOPER", 403)):
        assert new(operator_client(tenant, role=role)).status_code == status
