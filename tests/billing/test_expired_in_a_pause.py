"""Included units that expire while a subscription is paused are not free after it."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.models import RolloverGrant
from catalog.services.pauses import pause_subscription, resume_subscription
from tests.billing.test_crossings import move_clock
from tests.billing.test_late_usage import (
    ACTOR,
    APRIL,
    MAY,
    bill,
    fresh_process,
    months,
    no_wakes,
    seller,
    things,
)
from tests.billing.test_passed_on import holds, sell_quota, total_at
from tests.metering.conftest import NOW, catalog_changed

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db
RESUMED = datetime(2026, 4, 10, tzinfo=UTC)


def march_then_paused(seller, *, periods, is_billed_early):
    """Half of March unused, a pause until 10 April, 100 units in the rest of April (70 %)."""
    subscription = sell_quota(seller, periods=periods)
    pause_subscription(subscription=subscription, actor=ACTOR, now=NOW)
    catalog_changed(seller.tenant)
    early = bill(seller.tenant, APRIL) if is_billed_early else []
    resume_subscription(subscription=subscription, actor=ACTOR, now=RESUMED)
    move_clock(seller, RESUMED)
    catalog_changed(seller.tenant)
    seller.count(things(9, 100, occurredAt="2026-04-10T00:00:00Z"))
    return [*early, *bill(seller.tenant, MAY)]


@pytest.mark.parametrize("is_billed_early", [True, False])
def test_units_that_expired_in_the_pause_are_not_free_after_it(seller, queued, is_billed_early):
    made = march_then_paused(seller, periods=1, is_billed_early=is_billed_early)
    assert sum(one.total for one in made) == Decimal(3)  # 70 of 100 are free
    assert total_at(RESUMED).passed_on == total_at(RESUMED).rollover == 0
    assert RolloverGrant.objects.count() == 0
    holds(seller, *made)
