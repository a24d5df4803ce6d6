"""Backfill: events of long ago are priced in their own period, or wait where that is billed."""

from datetime import UTC, datetime

import msgspec
import pytest

from aforo.ids import new_id
from catalog.models import BillableUnit
from metering.ingest import inbox
from metering.models import HeldEvent, RunningTotal
from tests.factories import NOW, RatePlanVersionFactory
from tests.metering.conftest import subscribe
from tests.metering.events import billed, codes, event, outcomes, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def veteran(seller):
    """A customer since 2023, beside the one of this month."""
    units = BillableUnit.objects.filter(tenant=seller.tenant)
    prices = {unit: {"model": "PER_UNIT", "rate": "0.5"} for unit in units}
    version = RatePlanVersionFactory(tenant=seller.tenant, prices=prices, published=True)
    return subscribe(
        seller.tenant, "veteran", version, start_at=datetime(2023, 1, 1, tzinfo=UTC), months=40
    )


def upload(seller, *events):
    """As an upload with backfill puts its rows into the inbox: past the gate of age."""
    array = msgspec.json.encode(events)
    inbox.put(
        batch_id=new_id(),
        tenant_id=seller.tenant.id,
        source="FILE",
        door="test",
        received_at=NOW,
        event_count=len(events),
        refused={},
        array=array,
    )
    seller.drain()


def old(number, at, **fields):
    return event(number, customerId="veteran", occurredAt=at, **fields)


def test_old_events_are_priced_in_their_own_periods(seller, veteran):
    seller.count(event(1), old(2, "2026-03-14T00:00:00Z"))  # the process knows both already
    upload(
        seller,
        old(3, "2023-02-10T00:00:00Z"),
        old(4, "2025-02-10T00:00:00Z"),
        old(5, "2023-01-01T00:00:00Z"),
        event(6),
    )
    assert outcomes() == {"counted": 6}
    starts = {
        total.id: veteran.periods.get(pk=total.period_id).start_at
        for total in RunningTotal.objects.filter(subscription_id=veteran.id)
    }
    own = [row for row in rows() if row.subscription_id == veteran.id]
    assert {row.idempotency_key: starts[row.running_total_id].isoformat()[:7] for row in own} == {
        "key-2": "2026-03", "key-3": "2023-02", "key-4": "2025-02", "key-5": "2023-01",
    }  # fmt: skip
    assert [row.late for row in own if row.idempotency_key == "key-3"] == [True]


def test_before_the_first_contract_there_is_no_price(seller, veteran):
    upload(seller, old(1, "2022-12-31T23:59:59Z"), old(2, "0001-01-01T00:00:00Z"))
    assert codes() == ["NO_SUBSCRIPTION", "NO_SUBSCRIPTION"]


def test_old_events_of_billed_periods_wait(seller, veteran):
    upload(seller, old(1, "2023-02-10T00:00:00Z"))
    billed()
    upload(seller, old(2, "2023-02-11T00:00:00Z"), old(3, "2023-03-11T00:00:00Z"))
    assert outcomes() == {"counted": 2, "held": 1}
    assert HeldEvent.objects.get().idempotency_key == "key-2"
