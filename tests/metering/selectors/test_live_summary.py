"""Today beside the same point of yesterday and of the last month, from sums and receipts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aforo.ids import new_id
from metering.models import Receipt, ReceiptSlice
from metering.selectors.live_summary import live_summary, spans_at
from metering.services.activity import slice_receipts
from tests.factories import TenantFactory
from tests.metering.events import event

AT = datetime(2026, 3, 15, 14, 37, 20, tzinfo=UTC)


@pytest.fixture
def tenant(db):
    return TenantFactory()


def receipt(tenant, at, events=10, duplicates=1, **fields):
    return Receipt.objects.create(
        batch_id=new_id(),
        tenant_id=tenant.pk,
        received_at=at,
        arrived_at=at,
        drained_at=at,
        event_count=events,
        counted=events - duplicates,
        unbilled=0,
        duplicates=duplicates,
        dead=0,
        held=0,
        **{"source": "API"} | fields,
    )


def test_the_four_spans_end_at_the_same_point():
    spans = spans_at(AT, "UTC")
    assert spans.today.since == datetime(2026, 3, 15, tzinfo=UTC)
    assert spans.today.until == AT
    assert spans.yesterday.since == datetime(2026, 3, 14, tzinfo=UTC)
    assert spans.yesterday.until == datetime(2026, 3, 14, 14, 35, tzinfo=UTC)
    assert spans.month.since == datetime(2026, 3, 1, tzinfo=UTC)
    assert spans.last_month.since == datetime(2026, 2, 1, tzinfo=UTC)
    assert spans.last_month.until == datetime(2026, 2, 15, 14, 35, tzinfo=UTC)


def test_a_short_month_ends_before_the_same_point_of_a_long_one():
    spans = spans_at(datetime(2026, 3, 31, 12, tzinfo=UTC), "UTC")
    assert spans.last_month.until == datetime(2026, 3, 1, tzinfo=UTC)


def test_days_begin_in_the_tenants_time_zone():
    spans = spans_at(AT, "Asia/Tokyo")
    assert spans.today.since == datetime(2026, 3, 14, 15, tzinfo=UTC)


def test_receipts_are_counted_whether_they_are_sliced_or_not(tenant):
    receipt(tenant, AT - timedelta(minutes=1), events=100, duplicates=7)
    receipt(tenant, AT - timedelta(hours=2), events=10)
    receipt(tenant, AT - timedelta(days=1, minutes=30), events=20)
    receipt(tenant, AT - timedelta(days=1), events=1000)  # later than the same point
    receipt(tenant, datetime(2026, 2, 3, tzinfo=UTC), events=40)
    receipt(tenant, AT - timedelta(hours=3), events=5, source="REPLAY")
    receipt(TenantFactory(), AT - timedelta(hours=2), events=9999)

    before = live_summary(tenant=tenant, now=AT)
    assert slice_receipts(now=AT) == 5
    assert slice_receipts(now=AT) == 0
    after = live_summary(tenant=tenant, now=AT)

    assert before == after
    events = after.events
    assert (events.today, events.yesterday) == (110, 20)
    assert (events.month, events.last_month) == (1130, 40)
    assert after.duplicates.today == 8
    assert ReceiptSlice.objects.filter(tenant_id=tenant.pk).count() == 4


def test_only_settled_receipts_are_sliced(tenant):
    receipt(tenant, AT - timedelta(minutes=15))
    receipt(tenant, AT - timedelta(minutes=21))
    assert slice_receipts(now=AT) == 1

    (one,) = ReceiptSlice.objects.all()
    assert one.start_at == datetime(2026, 3, 15, 14, 15, tzinfo=UTC)
    assert (one.event_count, one.counted, one.duplicates) == (10, 9, 1)


def test_duplicates_are_worth_the_mean_of_what_counts(seller):
    seller.count(event(1), event(1), event(2, metricName="tokens", quantity=100))
    found = live_summary(tenant=seller.tenant, now=datetime(2026, 3, 15, 13, tzinfo=UTC))

    assert found.duplicates.today == 1
    assert found.average_revenue == (Decimal("0.02") + 1) / 2
    assert found.duplicate_value.today == Decimal("0.51")
    assert found.recovered.today == 0


def test_without_any_usage_everything_is_nothing(tenant):
    found = live_summary(tenant=tenant, now=AT)
    assert (found.events.today, found.duplicate_value.month) == (0, 0)
