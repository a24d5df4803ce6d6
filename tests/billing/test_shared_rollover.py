"""Included units of two plans that price the same unit are used once."""

from decimal import Decimal

import pytest

from billing.models import RolloverGrant, RolloverUse
from metering.models import RunningTotal
from tests.billing.build import tenant_entity
from tests.billing.metered import meter
from tests.billing.services.test_facts import billed
from tests.factories import (
    MONTH_START,
    BillableUnitFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
    UnitPriceFactory,
)

pytestmark = pytest.mark.django_db


def shared(*included, months=3):
    """The periods of a subscription to plans that all include units of one unit; it, and they."""
    tenant = TenantFactory()
    unit = BillableUnitFactory(tenant=tenant)
    versions = []
    for units in included:
        version = RatePlanVersionFactory(tenant=tenant)
        terms = {"model": "INCLUDED_QUOTA", "includedFree": units, "rate": "1"}
        UnitPriceFactory(version=version, unit=unit, terms=terms, rollover_periods=3)
        version.status, version.published_at = "PUBLISHED", MONTH_START
        version.save()
        versions.append(version)
    subscription = SubscriptionFactory(
        tenant=tenant,
        billing_entity=tenant_entity(tenant),
        versions=versions,
        start_at=MONTH_START,
        months=months,
    )
    return list(subscription.periods.order_by("start_at")), unit, versions


def test_what_two_plans_leave_over_is_used_by_one_of_them_and_once():
    (march, april, may), unit, (one, two) = shared(100, 50)
    billed(march)
    grant = RolloverGrant.objects.get()
    assert grant.units == Decimal(150)
    for version in (one, two):
        meter(april, unit, [1] * 120, version=version)
    billed(april)
    used = sum(RolloverUse.objects.filter(grant=grant).values_list("units", flat=True))
    rest = sum(RunningTotal.objects.filter(period_id=may.id).values_list("rollover", flat=True))
    own = sum(RolloverGrant.objects.exclude(pk=grant.pk).values_list("units", flat=True))
    paid = sum(RunningTotal.objects.filter(period_id=april.id).values_list("revenue", flat=True))
    free = 240 - paid
    assert free + rest == Decimal(300)
    assert used + rest - own == Decimal(150)
