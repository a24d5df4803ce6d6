"""Who counts an event: customer, subscription in force, plan version, units, conditions."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo import valkey
from catalog.aliases import digest_of
from catalog.conditions import compile_conditions
from catalog.models import BillableUnit, Customer, RatePlan, SubscriptionPeriod, UnitPrice
from metering.ingest import enrichment, routing
from metering.models import RunningTotal
from tests.factories import (
    NOW,
    BillableUnitFactory,
    CustomerAliasFactory,
    CustomerFactory,
    RatePlanFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
)
from tests.metering.conftest import catalog_changed, subscribe
from tests.metering.events import codes, event, outcomes, rows, the_total
from tests.metering.ledger import assert_totals_hold

HALF_PRICE = {"model": "PER_UNIT", "rate": "0.01"}


@pytest.fixture
def sells(seller):
    """Add units with prices to the plan of a new customer, `cust_2`."""

    def sell(prices, **units):
        made = {
            name: BillableUnitFactory(tenant=seller.tenant, name=name, **fields)
            for name, fields in units.items()
        }
        terms = {made[name]: HALF_PRICE for name in prices}
        version = RatePlanVersionFactory(tenant=seller.tenant, prices=terms, published=True)
        subscribe(seller.tenant, "cust_2", version)
        return made

    return sell


def names_of(counted):
    """Unit name, or None, of each row."""
    units = dict(BillableUnit.objects.values_list("id", "name"))
    return [units.get(row.unit_id) for row in counted]


# --- customers -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["app-1", "x" * 200, "größe ✓", "a@b.example"])
def test_a_customer_is_known_by_any_of_its_names(seller, name):
    customer = Customer.objects.get()
    CustomerAliasFactory(customer=customer, label=name)
    seller.count(event(1), event(2, customerId=name))
    assert [row.customer_id for row in rows()] == [customer.id, customer.id]
    assert the_total().event_count == 2


def test_an_own_id_goes_before_the_alias_of_another(seller):
    subscribe(seller.tenant, "cust_2")
    CustomerAliasFactory(customer=Customer.objects.get(external_id="cust_2"), label="cust_1")
    seller.count(event())
    assert rows()[0].customer_id == Customer.objects.get(external_id="cust_1").id


def test_a_customer_of_another_tenant_is_unknown(seller):
    CustomerFactory(external_id="cust_9")
    seller.count(event(customerId="cust_9"))
    assert codes() == ["UNKNOWN_CUSTOMER"]


def test_a_customer_without_subscription_is_told_apart_from_an_unknown_one(seller):
    CustomerFactory(tenant=seller.tenant, external_id="cust_2")
    seller.count(event(1, customerId="cust_2"), event(2, customerId="cust_3"))
    assert codes() == ["NO_SUBSCRIPTION", "UNKNOWN_CUSTOMER"]


# --- subscriptions and periods ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("occurred_at", "became"),
    [
        ("2026-02-28T23:59:59.999999Z", {"dead": 1}),
        ("2026-03-01T00:00:00Z", {"counted": 1}),
        ("2026-03-15T11:59:59.999999Z", {"counted": 1}),
    ],
)
def test_a_subscription_counts_from_its_start(seller, occurred_at, became):
    seller.count(event(occurredAt=occurred_at))
    assert outcomes() == became


def test_a_subscription_counts_until_its_end_and_the_next_one_from_there(seller):
    first = SubscriptionPeriod.objects.earliest("start_at").subscription
    first.end_at = datetime(2026, 3, 10, tzinfo=UTC)
    first.save()
    version = RatePlanVersionFactory(
        tenant=seller.tenant,
        prices={BillableUnit.objects.get(name="calls"): HALF_PRICE},
        published=True,
    )
    second = SubscriptionFactory(
        tenant=seller.tenant,
        customer=first.customer,
        versions=[version],
        start_at=first.end_at,
        anchor_day=10,
        months=1,
    )
    times = ["2026-03-09T23:59:59.999999Z", "2026-03-10T00:00:00Z"]
    seller.count(*(event(number, occurredAt=time) for number, time in enumerate(times)))
    counted = {row.idempotency_key: (row.subscription_id, str(row.revenue)) for row in rows()}
    assert counted == {"key-0": (first.id, "0.02"), "key-1": (second.id, "0.01")}


def test_two_periods_have_two_totals(seller):
    seller.tenant.clock_frozen_at = datetime(2026, 4, 15, tzinfo=UTC)
    seller.tenant.save()
    times = ["2026-03-31T23:59:59.999999Z", "2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z"]
    seller.count(*(event(number, occurredAt=time) for number, time in enumerate(times)))
    starts = dict(SubscriptionPeriod.objects.values_list("id", "start_at"))
    counts = {starts[one.period_id].month: one.event_count for one in RunningTotal.objects.all()}
    assert counts == {3: 1, 4: 2}
    assert [row.position for row in rows()] == [1, 1, 2]


# --- units ---------------------------------------------------------------------------------


def test_an_event_is_counted_by_every_unit_of_its_metric(sells, seller):
    sells(
        ["requests", "bytes"],
        requests={"aggregation": "COUNT"},
        bytes={"aggregation": "SUM", "source_metric": "requests"},
    )
    seller.count(event(customerId="cust_2", metricName="requests", quantity=500))
    quantities = {row.unit_id: row.quantity for row in RunningTotal.objects.all()}
    assert sorted(quantities.values()) == [1, 500]
    assert sorted(names_of(rows())) == ["bytes", "requests"]
    assert outcomes() == {"counted": 1}  # one event, however many units count it


def test_a_unit_with_another_source_does_not_count_its_own_name(sells, seller):
    sells(["bytes"], bytes={"aggregation": "SUM", "source_metric": "requests"})
    answer = seller.count(event(customerId="cust_2", metricName="bytes"))
    assert [error["code"] for error in answer.json()["errors"]] == ["UNKNOWN_METRIC"]


def test_a_unit_that_the_plan_does_not_price_is_unbilled(sells, seller):
    sells([], requests={}, other={"source_metric": "requests"})
    seller.count(event(customerId="cust_2", metricName="requests"))
    assert sorted(names_of(rows())) == ["other", "requests"]
    assert [row.running_total_id for row in rows()] == [None, None]
    assert outcomes() == {"unbilled": 1}


def test_an_event_is_counted_where_it_is_priced_and_recorded_where_it_is_not(sells, seller):
    sells(["requests"], requests={}, free={"source_metric": "requests"})
    seller.count(event(customerId="cust_2", metricName="requests"))
    assert {
        name: row.running_total_id is not None
        for name, row in zip(names_of(rows()), rows(), strict=True)
    } == {"requests": True, "free": False}
    assert outcomes() == {"counted": 1}


def test_only_units_whose_conditions_hold_count_an_event(sells, seller):
    premium = {"field": "tier", "operator": "EQUALS", "value": "premium"}
    large = {"field": "quantity", "operator": "GREATER_THAN", "value": "100"}
    ours = {"field": "customerId", "operator": "EQUALS", "value": "cust_2"}
    sells(
        ["premium", "large"],
        premium={"source_metric": "requests", "filter_conditions": [premium, ours]},
        large={"source_metric": "requests", "filter_conditions": [large]},
    )
    of = {"customerId": "cust_2", "metricName": "requests"}
    seller.count(
        event("neither", **of, quantity=1),
        event("premium", **of, quantity=1, metadata={"tier": "premium"}),
        event("large", **of, quantity=101),
        event("both", **of, quantity=1000, metadata={"tier": "premium"}),
    )
    counted = sorted(
        (row.idempotency_key, name)
        for row, name in zip(rows(), names_of(rows()), strict=True)
        if name
    )
    assert counted == [
        ("key-both", "large"), ("key-both", "premium"),
        ("key-large", "large"), ("key-premium", "premium"),
    ]  # fmt: skip
    assert outcomes() == {"counted": 3, "unbilled": 1}


def test_each_operator_chooses_the_events_of_its_unit(sells, seller):
    """Eight units over one metric: an event goes to each whose condition holds."""
    conditions = {
        "EQUALS": ("httpMethod", "POST"),
        "NOT_EQUALS": ("httpMethod", "POST"),
        "GREATER_THAN": ("responseTimeMs", "100"),
        "LESS_THAN": ("statusCode", "400"),
        "CONTAINS": ("endpointPath", "/search"),
        "NOT_CONTAINS": ("endpointPath", "/search"),
        "IN": ("region", "eu, us"),
        "NOT_IN": ("region", "eu, us"),
    }
    units = {
        operator: {
            "source_metric": "requests",
            "filter_conditions": [{"field": name, "operator": operator, "value": value}],
        }
        for operator, (name, value) in conditions.items()
    }
    sells(list(units), **units)
    of = {"customerId": "cust_2", "metricName": "requests"}
    seller.count(
        event("a", **of, httpMethod="POST", statusCode=200, endpointPath="/v2/search"),
        event("b", **of, httpMethod="GET", statusCode=500, responseTimeMs=101.5, region="us"),
        event("c", **of, metadata={"httpMethod": "POST", "region": "ap"}, statusCode="399"),
    )
    counted = {name: set() for name in ("key-a", "key-b", "key-c")}
    for row, name in zip(rows(), names_of(rows()), strict=True):
        counted[row.idempotency_key].add(name)
    assert counted == {
        "key-a": {"EQUALS", "LESS_THAN", "CONTAINS", "NOT_IN"},
        "key-b": {"NOT_EQUALS", "GREATER_THAN", "NOT_CONTAINS", "IN"},
        "key-c": {"EQUALS", "LESS_THAN", "NOT_CONTAINS", "NOT_IN"},
    }
    assert outcomes() == {"counted": 3}


def test_conditions_are_compiled_once_for_all_events(sells, seller, monkeypatch):
    compiled = []

    def compile_(conditions):
        compiled.append(conditions)
        return compile_conditions(conditions)

    monkeypatch.setattr(routing, "compile_conditions", compile_)
    premium = [{"field": "tier", "operator": "EQUALS", "value": "premium"}]
    sells(["premium"], premium={"filter_conditions": premium})
    of = {"customerId": "cust_2", "metricName": "premium", "metadata": {"tier": "premium"}}
    for start in (0, 50):
        seller.count(*(event(number, **of) for number in range(start, start + 50)))
    assert outcomes() == {"counted": 100}
    assert compiled == [premium]


@pytest.mark.parametrize(
    ("metadata", "became"),
    [
        ('{"tokens":1e400}', {"counted": 1}),
        ('{"tokens":123456789012345678901234567890}', {"counted": 1}),
        ('{"tokens":50.000000000000000000000000000000001}', {"counted": 1}),
        ('{"tokens":50}', {"unbilled": 1}),
        ('{"tokens":"many"}', {"unbilled": 1}),
        ('{"tokens":null}', {"unbilled": 1}),
        ('{"tokens":1e99999999999999999999}', {"dead": 1}),
        ('{"tokens":60,"other":1e99999999999999999999}', {"dead": 1}),
    ],
)
def test_conditions_see_numbers_as_they_were_written(sells, seller, metadata, became):
    over_50 = [{"field": "tokens", "operator": "GREATER_THAN", "value": "50"}]
    sells(["big"], big={"filter_conditions": over_50})
    body = f'[{{"customerId":"cust_2","metricName":"big","quantity":1,"metadata":{metadata}}}]'
    assert seller.post(body).status_code == 202
    seller.drain()
    assert outcomes() == became
    assert codes() == (["INVALID_EVENT"] if "dead" in became else [])


def test_without_the_value_it_counts_a_unique_unit_refuses_the_event(sells, seller):
    sells(["users"], users={"aggregation": "UNIQUE", "event_field": "user"})
    of = {"customerId": "cust_2", "metricName": "users"}
    seller.count(
        event(1, **of, metadata={"user": "a"}),
        event(2, **of),
        event(3, **of, metadata={"user": None}),
        event(4, **of, metadata={"User": "b"}),
    )
    assert codes() == ["MISSING_FIELD"] * 3
    assert outcomes() == {"counted": 1, "dead": 3}


# --- what changes is seen -------------------------------------------------------------------


def test_a_change_of_the_catalog_is_seen_by_the_next_drain(seller):
    seller.count(event(1))
    calls = BillableUnit.objects.get(name="calls")
    calls.filter_conditions = [{"field": "tier", "operator": "EQUALS", "value": "premium"}]
    calls.save()
    seller.count(event(2))
    assert outcomes() == {"counted": 2}  # nobody was told
    catalog_changed(seller.tenant)
    seller.count(event(3))
    assert outcomes() == {"counted": 2, "unbilled": 1}


def test_a_new_unit_is_known_to_the_door_at_once(seller):
    assert seller.send(event(1, metricName="new")).status_code == 422
    BillableUnitFactory(tenant=seller.tenant, name="new")
    assert seller.send(event(1, metricName="new")).status_code == 202


def test_an_archived_unit_counts_no_more(seller):
    seller.count(event(1))
    BillableUnit.objects.filter(name="calls").update(archived_at=NOW)
    catalog_changed(seller.tenant)
    seller.count(event(2))
    assert codes() == ["UNKNOWN_METRIC"]
    assert outcomes() == {"counted": 1, "dead": 1}


def test_the_switch_for_unknown_metrics_is_obeyed_at_once(seller):
    seller.count(event(1, metricName="strange"))
    seller.tenant.unknown_metric = "ACCEPT_UNBILLED"
    seller.tenant.save()
    seller.count(event(2, metricName="strange"))
    seller.tenant.unknown_metric = "REJECT"
    seller.tenant.save()
    seller.count(event(3, metricName="strange"))
    assert codes() == ["UNKNOWN_METRIC", "UNKNOWN_METRIC"]
    assert outcomes() == {"unbilled": 1, "dead": 2}


def test_a_clock_that_is_set_back_finds_the_periods_of_its_time(seller):
    march = SubscriptionPeriod.objects.earliest("start_at")
    seller.tenant.clock_frozen_at = datetime(2027, 3, 15, tzinfo=UTC)
    seller.tenant.save()
    SubscriptionPeriod.objects.create(
        tenant=seller.tenant,
        subscription=march.subscription,
        start_at=datetime(2027, 3, 1, tzinfo=UTC),
        end_at=datetime(2027, 4, 1, tzinfo=UTC),
        whole_start_at=datetime(2027, 3, 1, tzinfo=UTC),
    )
    seller.count(event(1, occurredAt="2027-03-15T00:00:00Z"))
    seller.tenant.clock_frozen_at = NOW
    seller.tenant.save()
    seller.count(event(2))
    assert outcomes() == {"counted": 2}


@pytest.mark.parametrize("limit", ["MAX_CUSTOMERS", "MAX_ROUTES"])
def test_a_memory_that_is_full_forgets_no_customer_of_the_drain(seller, monkeypatch, limit):
    names = [f"cust_{number}" for number in range(1, 7)]
    for name in names[1:]:
        subscribe(seller.tenant, name)
    seller.count(*(event(name, customerId=name) for name in names[:4]))
    monkeypatch.setattr(routing, limit, 3)
    seller.count(*(event(f"{name} again", customerId=name) for name in names[2:]))
    assert outcomes() == {"counted": 8}


def test_names_that_nobody_bears_are_not_remembered(seller):
    seller.count(*(event(number, customerId=f"nobody-{number}") for number in range(50)))
    heartbeat = {"metricName": "system.session.heartbeat", "customerId": "system"}
    times = [f"2026-03-{day:02}T00:00:00Z" for day in range(15, 1, -1)]
    seller.count(*(event(f"hb{time}", **heartbeat, occurredAt=time) for time in times))
    known = enrichment._memory.contracts[seller.tenant.id]
    assert {key: len(routes) for key, routes in known.routes.items()} == {
        ("system", "system.session.heartbeat"): 1
    }


def test_a_version_whose_terms_do_not_hold_harms_nobody_else(seller):
    broken = RatePlanVersionFactory(
        tenant=seller.tenant, rate_plan=RatePlanFactory(tenant=seller.tenant)
    )
    UnitPrice.objects.create(
        tenant=seller.tenant,
        version=broken,
        unit=BillableUnit.objects.get(name="calls"),
        terms={"model": "OF_TOMORROW"},
    )
    subscribe(seller.tenant, "cust_2", broken)
    assert RatePlan.objects.count() == 2
    seller.count(event(1), event(2, customerId="cust_2"))
    assert codes() == ["UNPRICEABLE"]
    assert outcomes() == {"counted": 1, "dead": 1}


# --- Redis behind the process ---------------------------------------------------------------


def statements(seller, django_assert_max_num_queries):
    enrichment.forget_everything()
    with django_assert_max_num_queries(100) as captured:
        seller.drain()
    return [query["sql"] for query in captured.captured_queries]


def test_a_fresh_process_finds_contracts_in_redis(seller, django_assert_max_num_queries):
    seller.count(event(1))
    seller.send(event(2))
    asked = statements(seller, django_assert_max_num_queries)
    assert not any("FROM customers" in sql for sql in asked)
    assert outcomes() == {"counted": 2}


def test_what_redis_holds_of_an_older_catalog_is_not_found(seller, django_assert_max_num_queries):
    seller.count(event(1))
    catalog_changed(seller.tenant)
    seller.send(event(2))
    asked = statements(seller, django_assert_max_num_queries)
    assert any("FROM customers" in sql for sql in asked)
    assert outcomes() == {"counted": 2}


def test_without_redis_contracts_come_from_the_database(seller, redis_down):
    seller.count(event(1))
    enrichment.forget_everything()
    seller.count(event(2))
    assert outcomes() == {"counted": 2}


def test_what_redis_holds_in_another_shape_is_read_anew(seller):
    seller.count(event(1))
    enrichment.forget_everything()
    for key in valkey.client().scan_iter(f"contract:*{seller.tenant.id}:*"):
        valkey.client().set(key, b"\x93\x01")
    seller.count(event(2))
    assert outcomes() == {"counted": 2}


# --- what an event does not say ------------------------------------------------------------


def test_the_product_type_of_an_event_that_names_none_is_its_units(seller):
    BillableUnit.objects.for_tenant(seller.tenant).update(product_type="AI_AGENT")
    catalog_changed(seller.tenant)
    seller.count(event(1), event(2, productType="API"), event(3, productType=""))
    assert [row.product_type for row in rows()] == ["AI_AGENT", "API", "AI_AGENT"]
    assert_totals_hold()


def test_the_product_type_of_unbilled_events_is_their_units_likewise(seller):
    BillableUnitFactory(tenant=seller.tenant, name="seats", product_type="API")
    catalog_changed(seller.tenant)
    seller.count(event(1, metricName="seats"))
    assert [(row.product_type, row.running_total_id) for row in rows()] == [("API", None)]


def test_an_agent_stands_in_for_a_customer_that_is_not_known(seller):
    other = subscribe(seller.tenant, "agency").customer
    CustomerAliasFactory(
        customer=other, label="agent-7", digest=digest_of(seller.tenant.id, "agent-7")
    )
    seller.count(
        event(1, customerId="nobody", agentId="agent-7"),
        event(2, customerId="nobody", agentId="agent-7"),
        event(3, agentId="agent-7"),
        event(4, customerId="nobody", agentId="agent-8"),
        event(5, customerId="nobody"),
        event(6, customerId="nobody", agentId="cust_1"),
    )
    assert codes() == ["UNKNOWN_CUSTOMER"] * 2
    mine = Customer.objects.get(external_id="cust_1").id
    found = {row.idempotency_key: row.customer_id for row in rows()}
    assert found == {"key-1": other.id, "key-2": other.id, "key-3": mine, "key-6": mine}


def test_agents_cost_no_statement_where_every_customer_is_known(seller):
    seller.count(event(0))
    seller.send(event(1, agentId="agent-7"))
    with CaptureQueriesContext(connection) as queries:
        seller.drain()
    assert not [query for query in queries if "customer" in query["sql"]]
