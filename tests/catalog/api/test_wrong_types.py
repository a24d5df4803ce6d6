"""Whatever a body holds, the answer is clear: no route fails because of a wrong type or value."""

import json

import pytest

from tests.clients import operator_client
from tests.factories import (
    BillableUnitFactory,
    BillingEntityFactory,
    CustomerFactory,
    OfferingFactory,
    ProductFactory,
    RatePlanVersionFactory,
    TenantFactory,
)

pytestmark = pytest.mark.django_db
WRONG = (
    "null",
    "true",
    "[]",
    "{}",
    '""',
    "-1",
    "1e99",
    "12345678901234567890123456789012345678901234567890",
    "0.00000000000000000001",
    '"NaN"',
    '"Infinity"',
    '"' + "x" * 5000 + '"',
    '"9999-12-31T23:59:59Z"',
    '"0001-01-01"',
    '"DROP TABLE"',
    '[null, {"a": [1]}]',
    '{"model": {"a": 1}, "value": []}',
    '["' + "0" * 8 + "-0000-0000-0000-" + "0" * 12 + '"]',
)


@pytest.fixture
def bodies():
    """A valid body for each route that takes one, and a client that may send it."""
    tenant = TenantFactory()
    unit = BillableUnitFactory(tenant=tenant, name="calls")
    product = ProductFactory(tenant=tenant, type="AI_AGENT")
    draft = RatePlanVersionFactory(tenant=tenant)
    version = RatePlanVersionFactory(tenant=tenant, published=True)
    offering = OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan])
    entity = BillingEntityFactory(tenant=tenant)
    customer = CustomerFactory(tenant=tenant)
    tiers = [{"tierStart": 0, "tierEnd": -1, "unitPrice": 1, "flatFee": 0, "sortOrder": 0}]
    conditions = [{"field": "f", "operator": "IN", "value": "1"}]
    config = {
        "metricId": str(unit.id),
        "metricName": "calls",
        "model": "GRADUATED",
        "rate": 0,
        "includedFree": 0,
        "blockSize": 0,
        "minFee": 0,
        "billingTiming": "ARREARS",
        "tiers": tiers,
        "ovBehavior": "CHARGE",
    }
    metric = {
        "name": "tokens",
        "unitLabel": "t",
        "description": "",
        "aggregationType": "SUM",
        "eventField": "f",
        "sourceMetric": "m",
        "filterConditions": conditions,
        "unitCost": "1",
    }
    plan = {
        "name": "Pro",
        "description": "",
        "baseFee": 1,
        "minimumSpend": 1,
        "discountPercent": 1,
        "discountAmount": 1,
        "productIds": [str(product.id)],
        "metricConfigs": [config],
        "dimensionPricing": {},
    }
    person = {
        "name": "A",
        "email": "a@b.test",
        "defaultCurrency": "USD",
        "country": "US",
        "address": "",
        "taxNumber": "",
        "language": "en",
    }
    return operator_client(tenant), {
        ("post", "products"): {
            "name": "P",
            "description": "",
            "type": "AI_AGENT",
            "lifecycle": "GA",
            "status": "DRAFT",
            "metadata": {"base_path": "/"},
        },
        ("patch", f"products/{product.id}"): {"name": "P", "metadata": {}, "lifecycle": "GA"},
        ("post", "metrics"): metric | {"productType": "API", "productIds": [str(product.id)]},
        ("patch", f"metrics/{unit.id}"): metric,
        ("post", "metrics/bulk"): {"productType": "API", "templateNames": ["API Calls"]},
        ("post", "rateplans"): plan
        | {"currency": "USD", "pricingModel": "PER_UNIT", "status": "DRAFT"},
        ("patch", f"rateplans/{draft.rate_plan_id}"): plan,
        ("post", "offerings"): {
            "code": "pro",
            "name": "Pro",
            "description": "",
            "type": "STANDALONE",
            "status": "ACTIVE",
            "primaryRatePlanId": str(version.rate_plan_id),
            "ratePlanIds": [],
            "billingMode": "POSTPAID",
            "currency": "USD",
            "trialDays": 0,
        },
        ("patch", f"offerings/{offering.id}"): {"name": "x", "status": "DRAFT"},
        ("post", "customers"): person | {"externalId": "cust_1"},
        ("patch", f"customers/{customer.id}"): person,
        ("post", f"customers/{customer.id}/aliases"): {"value": "app", "kind": "SUBJECT"},
        ("post", "subscriptions"): {
            "offeringId": str(offering.id),
            "customerId": str(customer.id),
            "billingCycle": "MONTHLY",
            "startDate": "2026-03-01",
            "startAt": None,
            "endDate": None,
            "endAt": None,
            "billingAnchorDay": 1,
            "billingEntityId": str(entity.id),
            "startTrial": False,
            "trialEndsAt": None,
        },
        ("post", "pricing/preview"): {
            "model": "GRADUATED",
            "terms": {"tiers": tiers, "billZeroTier": False},
            "quantity": 1,
            "events": [{"quantity": 1, "amount": 1}],
        },
    }


def variants(body):
    """The body with each of its members, at any depth, replaced by each wrong value."""
    text = json.dumps(body)
    for path in list(members(body)):
        for wrong in WRONG:
            changed = json.loads(text)
            *way, last = path
            inner = changed
            for step in way:
                inner = inner[step]
            inner[last] = "@@"
            yield path, json.dumps(changed).replace('"@@"', wrong)


def members(value, path=()):
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from members(inner, (*path, key))


@pytest.mark.slow
def test_no_body_makes_a_route_fail(bodies):
    client, by_route = bodies
    failed = []
    for (verb, route), body in by_route.items():
        for path, text in variants(body):
            send = getattr(client, verb)
            answer = send(f"/api/v1/{route}", text, content_type="application/json")
            if answer.status_code >= 500:
                failed.append((verb, route, path, text[:300], answer.status_code))
    assert failed == []


@pytest.mark.parametrize("text", ["", "[]", "1", "null", '"x"', "{", '{"name": "a\\u0000b"}'])
def test_what_is_no_object_is_refused(bodies, text):
    client, by_route = bodies
    for verb, route in by_route:
        send = getattr(client, verb)
        answer = send(f"/api/v1/{route}", text, content_type="application/json")
        assert answer.status_code in {400, 422}, (route, answer.content)
