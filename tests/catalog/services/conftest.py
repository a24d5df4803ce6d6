from datetime import UTC, datetime
from decimal import Decimal

import pytest

from catalog.services.subscriptions import create_subscription
from tests.factories import (
    NOW,
    CustomerFactory,
    OfferingFactory,
    RatePlanVersionFactory,
)


@pytest.fixture
def sell(tenant):
    """An active offering of one plan with a base fee of 31 a month."""

    def sell(trial_days=0, **fields):
        terms = {"base_fee": Decimal(31), "published": True, **fields}
        version = RatePlanVersionFactory(tenant=tenant, **terms)
        return OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan], trial_days=trial_days)

    return sell


@pytest.fixture
def sold(tenant, actor, sell):
    """A subscription since 1 March, as sold on `NOW`."""

    def sold(offering=None, **fields):
        terms = {"now": NOW, "start": datetime(2026, 3, 1, tzinfo=UTC), **fields}
        return create_subscription(
            tenant=tenant,
            actor=actor,
            customer=CustomerFactory(tenant=tenant),
            offering=offering or sell(),
            **terms,
        )

    return sold
