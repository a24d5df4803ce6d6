"""Whatever belongs to another tenant is as absent as what never was, on every route."""

import pytest
from django.urls import URLPattern

from catalog.api.urls import urlpatterns
from tests.clients import operator_client
from tests.factories import (
    BillableUnitFactory,
    ContractFactory,
    CouponRedemptionFactory,
    CustomerAliasFactory,
    FeatureFactory,
    PlanFeatureFactory,
    ProductFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)

pytestmark = pytest.mark.django_db
WITH_IDS = [pattern for pattern in urlpatterns if "<uuid:" in str(pattern.pattern)]
VERBS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def ids():
    """One row of each noun, all of another tenant."""
    tenant = TenantFactory()
    subscription = SubscriptionFactory(tenant=tenant, months=1)
    return {
        "products": ProductFactory(tenant=tenant).id,
        "metrics": BillableUnitFactory(tenant=tenant).id,
        "rateplans": PlanFeatureFactory(
            tenant=tenant, rate_plan=RatePlanVersionFactory(tenant=tenant).rate_plan
        ).rate_plan_id,
        "features": FeatureFactory(tenant=tenant).id,
        "offerings": subscription.offering_id,
        "billing-entities": subscription.billing_entity_id,
        "customers": subscription.customer_id,
        "subscriptions": subscription.id,
        "contracts": ContractFactory(tenant=tenant).id,
        "coupons": CouponRedemptionFactory(tenant=tenant).coupon_id,
        "coupons/redemptions": CouponRedemptionFactory(tenant=tenant).id,
        "aliases": CustomerAliasFactory(customer=subscription.customer).id,
    }


def paths(pattern: URLPattern, ids):
    route = str(pattern.pattern)
    path = route.replace("<uuid:id>", str(ids[route.partition("/<uuid:id>")[0]]))
    return f"/api/v1/{path.replace('<uuid:alias_id>', str(ids['aliases']))}"


ROUTES = [
    pytest.param(pattern, verb, id=f"{verb} {pattern.pattern}")
    for pattern in WITH_IDS
    for verb in VERBS
    if hasattr(pattern.callback.view_class, verb)
]


@pytest.mark.parametrize(("pattern", "verb"), ROUTES)
def test_a_foreign_id_is_not_found(pattern, verb, ids):
    client = operator_client(TenantFactory(), role="OWNER")
    answer = getattr(client, verb)(paths(pattern, ids), {"value": "x"} if verb == "post" else {})
    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    "noun",
    [
        "products",
        "metrics",
        "rateplans",
        "offerings",
        "customers",
        "subscriptions",
        "rateplans/search",
        "contracts",
        "coupons",
        "coupons/redemptions",
    ],
)
def test_lists_hold_no_foreign_rows(noun, ids):
    client = operator_client(TenantFactory(), role="OWNER")
    assert client.get(f"/api/v1/{noun}").json()["totalElements"] == 0


@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: str(pattern.pattern))
def test_every_route_wants_a_key(pattern, client):
    path = str(pattern.pattern).replace("<uuid:id>", "0" * 8 + "-0000-0000-0000-" + "0" * 12)
    path = path.replace("<uuid:alias_id>", "0" * 8 + "-0000-0000-0000-" + "0" * 12)
    path = path.replace("<str:product_type>", "API")
    assert client.get(f"/api/v1/{path}").status_code == 401
