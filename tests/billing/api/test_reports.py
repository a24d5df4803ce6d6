"""Reconciliation: every event of a window is somewhere, and the report says where."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import uuid4

import pytest

from billing.services.invoices import bill_periods
from metering.models import InboxBatch, Receipt, UsageEvent
from tests.billing.build import APRIL, bill_run, priced_subscription
from tests.billing.metered import meter
from tests.clients import operator_client
from tests.factories import HeldEventFactory, TenantFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)
PRICE = {"model": "PER_UNIT", "rate": "1", "includedFree": "2"}


def billed():
    period, (unit,) = priced_subscription(PRICE)
    total = meter(period, unit, [1] * 5)
    run = bill_run(period.tenant, auto_finalize=True, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return run, total


def receive(run, *, source="API", at=None, **counts):
    names = ("counted", "unbilled", "duplicates", "dead", "held")
    counts = dict.fromkeys(names, 0) | counts
    at = at or APRIL - timedelta(days=1)
    return Receipt.objects.create(
        batch_id=uuid4(),
        tenant_id=run.tenant_id,
        source=source,
        received_at=at,
        arrived_at=at,
        drained_at=at,
        event_count=sum(counts.values()),
        **counts,
    )


def report(run, query="", **kwargs):
    path = f"/api/v1/bill-runs/{run.id}/reconciliation{query}"
    return operator_client(run.tenant, role="MEMBER").get(path, **kwargs)


def places(answer):
    names = ("received", "billed", "free", "late", "open", "unbilled", "duplicates", "dead",
             "held", "waived", "waiting", "difference")  # fmt: skip
    return {name: answer[name] for name in names if answer[name]}


def test_included_units_are_free_and_the_rest_is_billed():
    run, _ = billed()
    answer = report(run).json()
    assert places(answer) == {"received": 5, "billed": 3, "free": 2}
    assert answer["balances"] is True
    assert answer["invoiced"] == [
        {"currency": "USD", "status": "OPEN", "invoices": 1, "total": "3.00"}
    ]


def test_every_place_is_counted_and_the_sum_is_what_was_received():
    run, _ = billed()
    receive(run, duplicates=4, dead=3)
    receive(run, source="REPLAY", duplicates=1)  # one of the dead, sent again
    held = HeldEventFactory(tenant=run.tenant, received_at=APRIL - timedelta(days=2))
    receive(run, held=1)
    waived = HeldEventFactory(
        tenant=run.tenant, received_at=APRIL, status="WAIVED", batch_id=uuid4()
    )
    receive(run, held=1)
    InboxBatch.objects.create(
        batch_id=waived.batch_id, tenant_id=run.tenant_id, bucket=0, source="API",
        received_at=APRIL, arrived_at=APRIL, event_count=2, body=b"",
    )  # fmt: skip
    assert held.batch_id != waived.batch_id
    assert places(report(run).json()) == {
        "received": 5 + 7 + 1 + 1 + 2, "billed": 3, "free": 2, "duplicates": 5, "dead": 2,
        "held": 1, "waived": 1, "waiting": 2,
    }  # fmt: skip


def test_an_event_that_is_nowhere_shows():
    run, _ = billed()
    UsageEvent.objects.filter(position=5).delete()
    answer = report(run).json()
    assert (answer["difference"], answer["balances"]) == (1, False)


def test_what_came_outside_of_the_window_is_another_runs():
    run, _ = billed()
    receive(run, at=run.window_start, duplicates=9)
    receive(run, at=APRIL + timedelta(seconds=1), duplicates=9)
    assert report(run).json()["received"] == 5


def test_events_of_a_running_period_are_open_and_those_without_a_price_unbilled():
    period, (unit,) = priced_subscription(PRICE)
    meter(period, unit, [1] * 3)
    UsageEvent.objects.filter(position=3).update(running_total_id=None)
    run = bill_run(period.tenant)
    assert places(report(run).json()) == {"received": 3, "open": 2, "unbilled": 1}


def test_it_is_a_table_too():
    run, _ = billed()
    for answer in (report(run, "?format=csv"), report(run, HTTP_ACCEPT="text/csv")):
        rows = dict(csv.reader(StringIO(b"".join(answer.streaming_content).decode())))
        assert (rows["received"], rows["billed"], rows["difference"]) == ("5", "3", "0")


def test_another_tenants_run_is_not_there():
    run, _ = billed()
    path = f"/api/v1/bill-runs/{run.id}/reconciliation"
    assert operator_client(TenantFactory(), role="OWNER").get(path).status_code == 404
