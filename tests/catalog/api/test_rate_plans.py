from decimal import Decimal

import pytest

from aforo.tenancy.models import AuditEntry
from catalog.models import RatePlan, RatePlanVersion
from tests.clients import operator_client
from tests.factories import (
    BillableUnitFactory,
    OfferingFactory,
    ProductFactory,
    RatePlanFactory,
    RatePlanVersionFactory,
)

pytestmark = pytest.mark.django_db
TIERS = [
    {"tierStart": 0, "tierEnd": 1000, "unitPrice": 0.010, "flatFee": 0, "sortOrder": 0},
    {"tierStart": 1000, "tierEnd": 10000, "unitPrice": "0.008", "flatFee": None, "sortOrder": 1},
    {"tierStart": 10000, "tierEnd": -1, "unitPrice": 0.005, "sortOrder": 2},
]


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


@pytest.fixture
def unit(tenant):
    return BillableUnitFactory(tenant=tenant, name="API Calls")


@pytest.fixture
def post(client, unit):
    def post(config=None, **fields):
        configs = [{"metricId": str(unit.id), **config}] if config else []
        body = {"name": "Pro", "pricingModel": "PER_UNIT", "metricConfigs": configs, **fields}
        return client.post("/api/v1/rateplans", body)

    return post


def test_a_plan_is_published_at_once(post, unit, tenant):
    product = ProductFactory(tenant=tenant)
    answer = post(
        {"metricName": "API Calls", "model": "GRADUATED", "tiers": TIERS},
        currency="EUR",
        baseFee="49.00",
        minimumSpend=100,
        discountPercent="12.5",
        discountAmount="0.5",
        description="for teams",
        productIds=[str(product.id)],
        dimensionPricing={},
    )
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["version"], shown["status"], shown["draftVersion"]) == (1, "PUBLISHED", None)
    assert (shown["currency"], shown["baseFee"], shown["minimumSpend"]) == ("EUR", "49", "100")
    assert (shown["discountPercent"], shown["discountAmount"]) == ("12.5", "0.5")
    assert shown["pricingModel"] == "GRADUATED"
    assert shown["productIds"] == [str(product.id)]
    (config,) = shown["metricConfigs"]
    assert (config["metricId"], config["metricName"]) == (str(unit.id), "API Calls")
    assert (config["model"], config["billingTiming"]) == ("GRADUATED", "ARREARS")
    assert [(tier["tierEnd"], tier["unitPrice"]) for tier in config["tiers"]] == [
        ("1000", "0.01"),
        ("10000", "0.008"),
        ("-1", "0.005"),
    ]
    assert shown["data"]["metricConfigs"] == shown["metricConfigs"]
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["RATE_PLAN_CREATED", "RATE_PLAN_PUBLISHED"]


@pytest.mark.parametrize(
    ("config", "terms"),
    [
        ({"rate": 0.01}, {"model": "PER_UNIT", "rate": "0.01", "includedFree": "0"}),
        (
            {"rate": "0.01", "includedFree": 100, "blockSize": 0, "minFee": None, "tiers": []},
            {"model": "PER_UNIT", "rate": "0.01", "includedFree": "100"},
        ),
        ({"model": "FLAT_RATE", "rate": 0}, {"model": "FLAT_RATE", "flatRate": "0"}),
        ({"model": "FLAT_RATE"}, {"model": "FLAT_RATE", "flatRate": "0"}),
        ({"model": "FLAT_RATE", "rate": 9, "tiers": []}, {"model": "FLAT_RATE", "flatRate": "9"}),
        ({"model": "FLAT_RATE", "flatRate": 9}, {"model": "FLAT_RATE", "flatRate": "9"}),
        (
            {"model": "PERCENTAGE", "rate": 2.9, "minFee": "0.30", "ovBehavior": "CHARGE"},
            {
                "model": "PERCENTAGE",
                "ratePercent": "2.9",
                "minFee": "0.3",
                "fixedFee": "0",
                "freeTransactions": 0,
                "freeAmount": "0",
            },
        ),
        (
            {"model": "INCLUDED_QUOTA", "rate": 0.5, "includedFree": 1000, "blockSize": 100},
            {
                "model": "INCLUDED_QUOTA",
                "rate": "0.5",
                "includedFree": "1000",
                "blockSize": "100",
                "ovBehavior": "CHARGE",
            },
        ),
        (
            {"model": "INCLUDED_QUOTA", "rate": 0.5, "includedFree": None},
            {
                "model": "INCLUDED_QUOTA",
                "rate": "0.5",
                "includedFree": "0",
                "ovBehavior": "CHARGE",
            },
        ),
        (
            {"terms": {"model": "PER_UNIT", "rate": "7"}, "rate": None, "pricingModel": "x"},
            {"model": "PER_UNIT", "rate": "7", "includedFree": "0"},
        ),
        (
            {"model": "FLAT_RATE", "terms": {"flatRate": "7"}},
            {"model": "FLAT_RATE", "flatRate": "7"},
        ),
    ],
)
def test_one_flat_shape_serves_all_models(post, config, terms):
    answer = post(config)
    assert answer.status_code == 201, answer.json()
    (shown,) = answer.json()["metricConfigs"]
    assert shown["terms"] == terms
    assert {key: shown[key] for key in terms} == terms


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "rate"),
        ({"rate": -1}, "rate"),
        ({"rate": "1e-13"}, "rate"),
        ({"rate": 1, "blockSize": 10}, "blockSize"),
        ({"rate": 1, "ovBehavior": "BLOCK"}, "ovBehavior"),
        ({"rate": 1, "rat": 2}, "rat"),
        ({"model": "MAGIC", "rate": 1}, "model"),
        ({"model": "INCLUDED_QUOTA", "rate": 1, "blockSize": 0}, "blockSize"),
        ({"model": "GRADUATED", "tiers": TIERS[:2]}, "tiers[1].tierEnd"),
        ({"model": "GRADUATED", "tiers": TIERS, "rate": 1}, "rate"),
        ({"rate": 1, "billingTiming": "IN_ARREARS"}, "billingTiming"),
        ({"terms": {"model": "PER_UNIT", "rate": 1}, "rate": 2}, "rate"),
        ({"terms": "free"}, "terms"),
        ({"metricName": "Other", "rate": 1}, "metricName"),
    ],
)
def test_contradictory_terms_are_refused_where_they_stand(post, unit, config, field):
    answer = post({"model": "PER_UNIT", **config})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [f"metricConfigs[0].{field}"]
    assert RatePlan.objects.count() == 0


def test_a_metric_may_be_named(client, unit):
    configs = [{"metricName": "API Calls", "rate": 1}]
    body = {"name": "Pro", "metricConfigs": configs}
    answer = client.post("/api/v1/rateplans", body)
    assert answer.json()["metricConfigs"][0]["metricId"] == str(unit.id)


def test_a_metric_named_twice_is_a_bad_request(client, unit):
    config = {"metricName": "API Calls", "rate": 1}
    answer = client.post("/api/v1/rateplans", {"name": "Pro", "metricConfigs": [config, config]})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "metricConfigs[1]"
    assert RatePlan.objects.count() == 0


@pytest.mark.parametrize(
    "config", [{"metricName": "nope"}, {"metricId": "nope"}, {"metricId": "foreign"}]
)
def test_an_unknown_metric_is_not_found(client, config):
    if config.get("metricId") == "foreign":
        config = {"metricId": str(BillableUnitFactory().id)}
    body = {"name": "Pro", "metricConfigs": [{**config, "rate": 1}]}
    answer = client.post("/api/v1/rateplans", body)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["field"] == f"metricConfigs[0].{next(iter(config))}"
    assert RatePlan.objects.count() == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"dimensionPricing": {"gpt-4": -2}}, "dimensionPricing.gpt-4"),
        ({"dimensionPricing": {"gpt-4": "x"}}, "dimensionPricing.gpt-4"),
        ({"maximumSpend": 99, "minimumSpend": 100}, "maximumSpend"),
        ({"setupFee": "-5"}, "setupFee"),
        ({"proration": "HOUR"}, "proration"),
        ({"baseFeeTiming": "IN_ADVANCE"}, "baseFeeTiming"),
        ({"currencies": [{"currency": "USD"}]}, "currencies[0].currency"),
        ({"currencies": [{"currency": "ABC"}]}, "currencies[0].currency"),
        ({"currencies": [{"currency": "EUR"}, {"currency": "EUR"}]}, "currencies[1].currency"),
        ({"currencies": [{"currency": "EUR", "baseFee": -1}]}, "currencies[0].baseFee"),
        ({"baseFee": -1}, "baseFee"),
        ({"baseFee": "x"}, "baseFee"),
        ({"currency": "ABC"}, "currency"),
        ({"pricingModel": "MAGIC"}, "pricingModel"),
        ({"discountPercent": 101}, "discountPercent"),
        ({"metricConfigs": [1]}, "metricConfigs[0]"),
    ],
)
def test_what_is_wrong_is_refused_by_field(post, fields, field):
    answer = post(**fields)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert RatePlan.objects.count() == 0


def test_the_currency_is_the_tenants_unless_said(post):
    assert post().json()["currency"] == "USD"


def test_a_draft_is_edited_and_published(client, post, unit):
    plan = post({"rate": 1}, status="DRAFT").json()
    path = f"/api/v1/rateplans/{plan['id']}"
    assert (plan["status"], plan["version"], plan["draftVersion"]) == ("DRAFT", 1, 1)

    configs = [{"metricName": "API Calls", "rate": 2}]
    edits = {"name": "Team", "baseFee": "9", "metricConfigs": configs}
    edited = client.patch(path, edits)
    assert edited.status_code == 200
    assert (edited.json()["name"], edited.json()["baseFee"]) == ("Team", "9")
    assert edited.json()["metricConfigs"][0]["rate"] == "2"

    published = client.post(f"{path}/publish")
    assert (published.status_code, published.json()["status"]) == (200, "PUBLISHED")
    assert client.post(f"{path}/publish").json()["versions"] == published.json()["versions"]

    refused = client.patch(path, {"baseFee": "10"})
    assert refused.status_code == 409
    assert "is published and never changes" in refused.json()["detail"]
    assert client.patch(path, {"description": "teams"}).json()["description"] == "teams"


def test_a_published_plan_is_followed_by_a_version(client, post, unit):
    plan = post({"rate": 1}).json()
    path = f"/api/v1/rateplans/{plan['id']}"
    drafted = client.post(f"{path}/versions")
    assert drafted.status_code == 201
    assert (drafted.json()["version"], drafted.json()["draftVersion"]) == (1, 2)
    assert client.post(f"{path}/versions").status_code == 409
    client.patch(path, {"baseFee": "10"})
    assert client.get(path).json()["baseFee"] == "0"  # what a subscription would get now
    assert client.post(f"{path}/publish").json()["baseFee"] == "10"
    assert RatePlanVersion.objects.get(number=1).base_fee == Decimal(0)


def test_plans_are_searched_by_name(client, tenant):
    RatePlanFactory(tenant=tenant, name="Pro monthly")
    RatePlanFactory(tenant=tenant, name="Free")
    RatePlanFactory(name="Pro of another")
    page = client.get("/api/v1/rateplans/search?name=pro").json()
    assert [row["name"] for row in page["content"]] == ["Pro monthly"]
    assert page["totalElements"] == 1


@pytest.mark.parametrize("count", [1, 20])
def test_a_list_of_plans_takes_a_constant_number_of_statements(
    client, tenant, django_assert_num_queries, count
):
    for _ in range(count):
        unit = BillableUnitFactory(tenant=tenant)
        RatePlanVersionFactory(tenant=tenant, prices={unit: {"model": "FLAT_RATE", "flatRate": 1}})
    # the key, the count, the plans; their products, versions, prices with units, currencies
    with django_assert_num_queries(7):
        assert client.get("/api/v1/rateplans").json()["totalElements"] == count


def test_a_plan_on_sale_is_not_archived(client, tenant):
    version = RatePlanVersionFactory(tenant=tenant, published=True)
    offering = OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan])
    path = f"/api/v1/rateplans/{version.rate_plan_id}"
    assert client.delete(path).status_code == 409
    offering.status = "ARCHIVED"
    offering.save()
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["status"] == "ARCHIVED"
