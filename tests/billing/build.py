"""Contracts and runs for tests of billing."""

from datetime import UTC, datetime
from decimal import Decimal

from billing.models import BillRun
from tests.factories import (
    MONTH_START,
    BillableUnitFactory,
    BillingEntityFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)

APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def priced_subscription(
    *prices, tenant=None, version=None, aggregation="COUNT", start_at=MONTH_START, **fees
):
    """The March period of a new subscription, and one unit per price; fees are the version's."""
    tenant = tenant or TenantFactory()
    units = [
        BillableUnitFactory(tenant=tenant, aggregation=aggregation, event_field="user")
        for _ in prices
    ]
    version = version or RatePlanVersionFactory(
        tenant=tenant,
        prices=dict(zip(units, prices, strict=True)),
        published=True,
        **{name: Decimal(fee) for name, fee in fees.items()},
    )
    entity = tenant_entity(tenant)
    subscription = SubscriptionFactory(
        tenant=tenant, billing_entity=entity, versions=[version], start_at=start_at, months=1
    )
    return subscription.periods.get(), units


def tenant_entity(tenant):
    """The default billing entity of a tenant, made when it has none."""
    known = type(BillingEntityFactory.build(tenant=tenant)).objects.for_tenant(tenant)
    return known.filter(is_default=True).first() or BillingEntityFactory(tenant=tenant)


def bill_run(tenant, *, status="RUNNING", start=MONTH_START, end=APRIL, **fields):
    """A run over March 2026."""
    return BillRun.objects.create(
        tenant=tenant,
        window_start=start,
        window_end=end,
        status=status,
        created_at=APRIL,
        **fields,
    )
