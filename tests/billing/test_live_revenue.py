"""Live revenue of levels that bill runs carry from period to period."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.tenancy.models import Tenant
from metering.monitors.summing import sum_usage
from metering.selectors.revenue import live_revenue
from metering.selectors.revenue_groups import GroupBy
from tests.billing.test_late_usage import (
    APRIL,
    MAY,
    bill,
    fresh_process,
    months,
    no_wakes,
    sell,
    seller,
    things,
)
from tests.metering.conftest import catalog_changed

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("queued")]
TIERS = [{"tierEnd": 5, "unitPrice": "10"}, {"tierEnd": -1, "unitPrice": "20"}]
IN_MAY = datetime(2026, 5, 20, tzinfo=UTC)


def told(seller, now, **chosen):
    """Period, last period and projection of whoever buys things."""
    seller.tenant.refresh_from_db()
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=now)
    seller.tenant.refresh_from_db()
    with CaptureQueriesContext(connection) as captured:
        rows = live_revenue(tenant=seller.tenant, now=now, by=GroupBy.METRIC, **chosen).rows
    assert len(captured) <= 9
    (row,) = [one for one in rows if one.label == "things"]
    assert not row.is_upper_bound
    return row.period, row.last_period, row.projection


FLAT, TIERED = {"model": "PER_UNIT", "rate": "10"}, {"model": "GRADUATED", "tiers": TIERS}


@pytest.mark.parametrize(
    ("aggregation", "terms", "ten", "twelve"),
    [("MAX", FLAT, 100, 120), ("SUM", TIERED, 150, 190)],
)
def test_seats_that_stay_stay_in_all_that_is_told(seller, aggregation, terms, ten, twelve):
    subscription = sell(seller, terms, months=4, aggregation=aggregation, recurring=True)
    seller.count(things(1, 10))
    sum_usage()
    bill(seller.tenant, APRIL)
    assert told(seller, APRIL + timedelta(days=20)) == (ten, ten, ten)
    bill(seller.tenant, MAY, start=APRIL)
    assert told(seller, IN_MAY) == (ten, ten, ten)
    assert told(seller, IN_MAY, customer_id=subscription.customer_id) == (ten, ten, ten)
    catalog_changed(seller.tenant)
    more = 12 if aggregation == "MAX" else 2
    seller.count(things(2, more, occurredAt="2026-05-10T00:00:00Z"))
    assert told(seller, IN_MAY) == (twelve, ten, twelve)


def test_a_level_stands_beside_what_had_been_carried_at_the_same_point(seller):
    sell(seller, FLAT, months=4, aggregation="MAX", recurring=True)
    seller.count(things(1, 10))
    bill(seller.tenant, APRIL + timedelta(days=3))
    bill(seller.tenant, MAY + timedelta(days=1), start=APRIL)
    assert told(seller, MAY + timedelta(days=2)) == (100, 0, 100)
    assert told(seller, MAY + timedelta(days=4)) == (100, 100, 100)
