import pytest

from tests.clients import operator_client
from tests.factories import RatePlanFactory

pytestmark = pytest.mark.django_db
COUPON = {"code": "TEN", "name": "Ten", "discountType": "PERCENTAGE", "discountValue": 10}


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("products", {"name": "Chat", "type": "AI_AGENT"}, "name"),
        ("metrics", {"name": "calls", "aggregationType": "COUNT"}, "name"),
        ("rateplans", {"name": "Pro"}, "name"),
        ("offerings", {"code": "pro", "name": "Pro"}, "code"),
        ("customers", {"externalId": "acme"}, "externalId"),
        ("coupons", COUPON, "code"),
        ("billing-entities", {"code": "EU", "displayName": "EU", "currency": "EUR"}, "code"),
    ],
)
def test_what_is_taken_is_named_by_its_field(tenant, route, body, field):
    client = operator_client(tenant)
    if route == "offerings":
        body = body | {"primaryRatePlanId": str(RatePlanFactory(tenant=tenant).id)}
    assert client.post(f"/api/v1/{route}", body).status_code == 201
    answer = client.post(f"/api/v1/{route}", body)
    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == (field, "TAKEN")
