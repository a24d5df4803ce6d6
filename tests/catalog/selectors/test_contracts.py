from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from catalog import aliases
from catalog.models import Customer, Subscription, SubscriptionPeriod, SubscriptionPlan
from catalog.selectors.contracts import (
    CustomerContract,
    PeriodSpan,
    UnitContract,
    contracts_of,
    units_of,
)
from tests.factories import (
    MONTH_START,
    NOW,
    BillableUnitFactory,
    BillingEntityFactory,
    CustomerAliasFactory,
    CustomerFactory,
    OfferingFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)

pytestmark = pytest.mark.django_db

SINCE = NOW - timedelta(days=120)
APRIL, MAY = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def tenant():
    return TenantFactory()


def priced_subscription(tenant, **fields):
    tokens, calls = (BillableUnitFactory(tenant=tenant) for _ in range(2))
    version = RatePlanVersionFactory(
        tenant=tenant,
        published=True,
        prices={
            tokens: {"model": "PER_UNIT", "rate": "0.000015"},
            calls: {"model": "FLAT_RATE", "flatRate": "9"},
        },
    )
    return SubscriptionFactory(tenant=tenant, versions=[version], months=2, **fields)


def test_units_say_what_they_count(tenant):
    unit = BillableUnitFactory(
        tenant=tenant,
        name="EU callers",
        aggregation="UNIQUE",
        event_field="user_id",
        source_metric="api_calls",
        filter_conditions=[{"field": "region", "operator": "EQUALS", "value": "eu"}],
        unit_cost=Decimal("0.002"),
    )
    BillableUnitFactory(tenant=tenant, archived_at=NOW)
    BillableUnitFactory()

    assert units_of(tenant.id) == (
        UnitContract(
            unit_id=unit.id,
            name="EU callers",
            metric="api_calls",
            aggregation="UNIQUE",
            event_field="user_id",
            unit_cost=Decimal("0.002"),
            conditions=[{"field": "region", "operator": "EQUALS", "value": "eu"}],
            product_type="API",
        ),
    )


def test_a_unit_counts_its_own_name_when_no_source_is_named(tenant):
    BillableUnitFactory(tenant=tenant, name="requests")
    assert [unit.metric for unit in units_of(tenant.id)] == ["requests"]


def test_a_contract_has_periods_and_prices(tenant):
    subscription = priced_subscription(tenant, end_at=MAY)
    name = subscription.customer.external_id

    contract = contracts_of(tenant.id, [name], since=SINCE)[name]

    assert (contract.customer_id, contract.external_id) == (subscription.customer_id, name)
    (held,) = contract.subscriptions
    assert (held.id, held.currency) == (subscription.id, "USD")
    assert (held.start, held.end) == (MONTH_START, MAY)
    march, april = subscription.periods.order_by("start_at")
    assert held.periods == (
        PeriodSpan(march.id, MONTH_START, APRIL),
        PeriodSpan(april.id, APRIL, MAY),
    )
    version = subscription.plans.get().version
    assert [(price.version_id, price.terms) for price in held.prices] == [
        (version.id, {"model": "PER_UNIT", "rate": "0.000015"}),
        (version.id, {"model": "FLAT_RATE", "flatRate": "9"}),
    ]
    assert {price.unit_id for price in held.prices} == set(
        version.prices.values_list("unit_id", flat=True)
    )


def test_names_are_external_ids_aliases_or_stand_ins(tenant):
    customer = CustomerFactory(tenant=tenant)
    alias = CustomerAliasFactory(customer=customer, label="app one")
    secret = aliases.digest_of(tenant.id, "sk_live_1")
    CustomerAliasFactory(customer=customer, label="", digest=secret)
    names = [
        customer.external_id,
        alias.label,
        "sk_live_1",
        aliases.stand_in(secret),
        "nobody",
        f"alias:{'0' * 64}",
    ]

    found = contracts_of(tenant.id, names, since=SINCE)

    assert set(found) == set(names[:4])
    assert {contract.customer_id for contract in found.values()} == {customer.id}


def test_a_customer_is_known_by_its_own_id_too(tenant):
    customer = CustomerFactory(tenant=tenant)
    foreign = CustomerFactory()
    names = [str(customer.id), str(customer.id).upper(), str(foreign.id)]
    found = contracts_of(tenant.id, names, since=SINCE)
    assert [(name, held.external_id) for name, held in found.items()] == [
        (str(customer.id), customer.external_id)
    ]


def test_an_external_id_goes_before_an_own_id(tenant):
    other = CustomerFactory(tenant=tenant)
    customer = CustomerFactory(tenant=tenant, external_id=str(other.id))
    name = str(other.id)
    assert contracts_of(tenant.id, [name], since=SINCE)[name].customer_id == customer.id


def test_an_external_id_goes_before_an_alias(tenant):
    customer = CustomerFactory(tenant=tenant, external_id="acme")
    CustomerAliasFactory(customer=CustomerFactory(tenant=tenant), label="acme")
    assert contracts_of(tenant.id, ["acme"], since=SINCE)["acme"].customer_id == customer.id


def test_another_tenants_names_are_unknown(tenant):
    other = TenantFactory()
    customer = CustomerFactory(tenant=other, external_id="acme")
    CustomerAliasFactory(customer=customer, label="app")
    assert contracts_of(tenant.id, ["acme", "app"], since=SINCE) == {}


def test_no_names_ask_for_nothing(tenant):
    assert contracts_of(tenant.id, [], since=SINCE) == {}


def test_what_ended_before_since_is_left_out(tenant):
    customer = CustomerFactory(tenant=tenant)
    entity = BillingEntityFactory(tenant=tenant)
    over = SubscriptionFactory(
        tenant=tenant, customer=customer, billing_entity=entity, months=1, end_at=APRIL
    )
    running = SubscriptionFactory(tenant=tenant, customer=customer, billing_entity=entity, months=2)
    name = customer.external_id

    until_april = contracts_of(tenant.id, [name], since=APRIL)[name]
    assert {held.id for held in until_april.subscriptions} == {over.id, running.id}
    assert {len(held.periods) for held in until_april.subscriptions} == {1, 2}

    later = contracts_of(tenant.id, [name], since=APRIL + timedelta(seconds=1))[name]
    assert [(held.id, len(held.periods)) for held in later.subscriptions] == [(running.id, 1)]


def test_contracts_survive_messagepack(tenant):
    subscription = priced_subscription(tenant)
    name = subscription.customer.external_id
    contract = contracts_of(tenant.id, [name], since=SINCE)[name]
    encoded = msgspec.msgpack.encode(contract)
    assert msgspec.msgpack.decode(encoded, type=CustomerContract) == contract
    units = units_of(tenant.id)
    encoded_units = msgspec.msgpack.encode(units)
    assert msgspec.msgpack.decode(encoded_units, type=tuple[UnitContract, ...]) == units


@pytest.mark.parametrize("count", [1, 1000])
def test_statements_do_not_grow_with_customers(tenant, count, django_assert_num_queries):
    version = priced_subscription(tenant).plans.get().version
    offering = OfferingFactory(tenant=tenant)
    entity = BillingEntityFactory(tenant=tenant)
    customers = Customer.objects.bulk_create(CustomerFactory.build_batch(count, tenant=tenant))
    subscriptions = Subscription.objects.bulk_create(
        SubscriptionFactory.build(
            tenant=tenant, customer=customer, offering=offering, billing_entity=entity
        )
        for customer in customers
    )
    SubscriptionPlan.objects.bulk_create(
        SubscriptionPlan(tenant=tenant, subscription=subscription, version=version)
        for subscription in subscriptions
    )
    SubscriptionPeriod.objects.bulk_create(
        SubscriptionPeriod(
            tenant=tenant,
            subscription=subscription,
            start_at=MONTH_START,
            end_at=APRIL,
            whole_start_at=MONTH_START,
        )
        for subscription in subscriptions
    )
    names = [customer.external_id for customer in customers]
    with django_assert_num_queries(6):
        found = contracts_of(tenant.id, [*names, "unknown"], since=SINCE)
    assert set(found) == set(names)
    assert all(len(found[name].subscriptions[0].prices) == 2 for name in names)
    assert all(len(found[name].subscriptions[0].periods) == 1 for name in names)
