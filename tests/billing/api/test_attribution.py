"""Attribution: from a line to the very events behind it, in pages and as CSV."""

import csv
import time
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.exports import line_events
from billing.models import BillRunEventIndex, Invoice
from billing.services.invoices import bill_periods
from metering.models import UsageEvent
from metering.services.partitions import make_around
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.clients import operator_client
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)
GRADUATED = {
    "model": "GRADUATED",
    "tiers": [{"tierEnd": "100", "unitPrice": "0.03"}, {"tierEnd": -1, "unitPrice": "0.02"}],
}


def billed(*, quantities=(60, 50, 40, 30, 20), metadata=None, **fields):
    period, (unit,) = priced_subscription(GRADUATED, aggregation="SUM", **fields)
    meter(period, unit, quantities, metadata=metadata)
    bill_periods(run=bill_run(period.tenant), period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def address_of(invoice, line=None):
    line = line or invoice.lines.get(type="USAGE_FEE")
    return f"/api/v1/invoices/{invoice.id}/lines/{line.id}/events"


def test_pages_of_a_line_are_its_events_in_order_with_what_each_added():
    invoice = billed()
    client = operator_client(invoice.tenant, role="MEMBER")
    found, query = [], "?size=2"
    while query:
        answer = client.get(address_of(invoice) + query).json()
        assert len(answer["content"]) <= 2
        found += answer["content"]
        query = answer["nextCursor"] and f"?size=2&cursor={answer['nextCursor']}"
    assert [event["position"] for event in found] == [1, 2, 3, 4, 5]
    assert [event["revenue"] for event in found] == ["1.8", "1.4", "0.8", "0.6", "0.4"]
    line = invoice.lines.get()
    assert sum(Decimal(event["revenue"]) for event in found) == line.exact_amount
    assert found[-1]["digest"] == bytes(line.spans.get().digest).hex()
    assert {event["takesBack"] for event in found} == {None}


def test_the_whole_line_is_a_csv_by_parameter_or_by_what_is_accepted():
    invoice = billed(metadata={0: '{"a":1}'})
    client = operator_client(invoice.tenant)
    asked = client.get(address_of(invoice) + "?format=csv")
    accepted = client.get(address_of(invoice), HTTP_ACCEPT="text/csv;q=0.9, */*")
    assert asked.streaming
    text = b"".join(asked.streaming_content).decode()
    assert text == b"".join(accepted.streaming_content).decode()
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["quantity"] for row in rows] == ["60", "50", "40", "30", "20"]
    assert rows[0]["metadata"] == '{"a":1}'
    assert rows[0]["occurredAt"].endswith("Z")
    assert asked["Content-Disposition"].startswith("attachment; filename=")


def test_a_spreadsheet_runs_nothing_that_a_sender_wrote():
    invoice = billed(metadata={0: "=1+1"})
    answer = operator_client(invoice.tenant).get(address_of(invoice) + "?format=csv")
    (row, *_) = csv.DictReader(StringIO(b"".join(answer.streaming_content).decode()))
    assert row["metadata"] == "'=1+1"


def test_a_line_without_events_has_an_empty_page():
    invoice = billed(base_fee="10")
    fee = invoice.lines.get(type="CHARGE")
    answer = operator_client(invoice.tenant).get(address_of(invoice, fee)).json()
    assert (answer["content"], answer["nextCursor"]) == ([], None)


@pytest.mark.parametrize("query", ["?cursor=x", "?format=xml", "?size=0"])
def test_what_cannot_be_understood_is_said(query):
    invoice = billed()
    answer = operator_client(invoice.tenant).get(address_of(invoice) + query)
    assert answer.status_code == 400


def test_another_tenants_line_and_another_invoices_line_are_not_there():
    invoice, other = billed(), billed()
    assert operator_client(TenantFactory()).get(address_of(invoice)).status_code == 404
    crossed = address_of(invoice, other.lines.get())
    assert operator_client(invoice.tenant).get(crossed).status_code == 404


def test_a_stream_reads_a_piece_at_a_time(monkeypatch):
    monkeypatch.setattr(line_events, "ROWS_AT_A_TIME", 2)
    line = billed().lines.get()
    with CaptureQueriesContext(connection) as queries:
        assert [event.position for event in line_events.walk_line(line)] == [1, 2, 3, 4, 5]
    assert len(queries) == 1 + 3


MANY = 100_000
_COPY_EVENTS = """
    INSERT INTO usage_events (tenant_id, running_total_id, "position", idempotency_key, metric,
        quantity, revenue, cost, occurred_at, received_at, late, source, batch_id, batch_index,
        digest)
    SELECT tenant_id, running_total_id, n, 'k' || n, metric, 1, 0, 0,
        occurred_at + n * interval '1 second', received_at, false, source, batch_id, n, digest
    FROM usage_events, generate_series(2, %s) AS n WHERE id = %s
"""


@pytest.fixture
def large_line():
    """A line with 100,000 events behind it, in a table that holds others."""
    invoice = billed(quantities=(1,))
    line = invoice.lines.get()
    event = UsageEvent.objects.get(running_total_id=line.spans.get().running_total_id)
    make_around([event.occurred_at])
    with connection.cursor() as cursor:
        cursor.execute(_COPY_EVENTS, (MANY, event.pk))
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE bill_run_event_index SET last_position = %s", [MANY])
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("ANALYZE usage_events")
    assert BillRunEventIndex.objects.get().last_position == MANY
    return line


def test_a_page_anywhere_in_a_large_line_is_read_by_its_index_within_50_ms(large_line):
    total_id = large_line.spans.get().running_total_id
    events = line_events.events_between(total_id, 50_000, MANY)[:51]
    plan = events.explain(format="text")
    assert "usage_events_" in plan
    assert "Index Scan" in plan
    assert "Seq Scan" not in plan.replace("usage_events_default", "")
    for after in (None, line_events.Place(total_id, 50_000), line_events.Place(total_id, 99_900)):
        best = min(_seconds(large_line, after) for _ in range(3))
        assert best < 0.05


def _seconds(line, after):
    start = time.perf_counter()
    page = line_events.page_of_line(line, after=after, size=50)
    assert len(page.events) == 50
    return time.perf_counter() - start
