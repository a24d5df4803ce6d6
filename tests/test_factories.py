"""Every factory makes a row that the database accepts, and everything in it is of one tenant."""

import inspect

import pytest

from aforo.tenancy.models import TenantOwned
from tests import factories
from tests.factories import (
    ApiKeyFactory,
    BillableUnitFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)

FACTORIES = [
    factory
    for name, factory in inspect.getmembers(factories, inspect.isclass)
    if name.endswith("Factory") and not factory._meta.abstract
]


@pytest.mark.django_db
@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)
def test_smallest_row_is_valid_twice(factory):
    factory()
    row = factory()
    row.refresh_from_db()


@pytest.mark.django_db
@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)
def test_everything_in_a_row_is_of_its_tenant(factory):
    row = factory()
    if not isinstance(row, TenantOwned):
        return
    related = [getattr(row, field.name) for field in row._meta.concrete_fields if field.is_relation]
    assert {item.tenant_id for item in related if isinstance(item, TenantOwned)} <= {row.tenant_id}


@pytest.mark.django_db
def test_a_whole_contract_hangs_together():
    tenant = TenantFactory()
    unit = BillableUnitFactory(tenant=tenant)
    version = RatePlanVersionFactory(
        tenant=tenant, prices={unit: factories.PER_UNIT}, published=True
    )
    subscription = SubscriptionFactory(tenant=tenant, versions=[version], months=2)

    assert version.is_published
    assert version.prices.get().unit == unit
    assert subscription.plans.get().version == version
    assert [f"{period}" for period in subscription.periods.all()] == [
        "2026-03-01 to 2026-04-01",
        "2026-04-01 to 2026-05-01",
    ]


@pytest.mark.django_db
def test_a_key_knows_its_secret():
    key = ApiKeyFactory()
    assert key.secret.startswith("sk_live_")
    assert len(key.secret) == 48
