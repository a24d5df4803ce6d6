"""A CSV of requests as usage events."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from aforo.demo.trace import Trace
from aforo.errors import Unreadable

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"


@pytest.fixture
def trace(tmp_path):
    """A trace of these rows."""

    def read(*rows: str, header: str = HEADER) -> Trace:
        path = tmp_path / "few.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return Trace(path)

    return read


def events(trace: Trace) -> list[dict]:
    bodies = (body for segment in trace.segments() for body in segment.bodies)
    return [event for body in bodies for event in msgspec.json.decode(body)["events"]]


def test_a_row_is_one_request_counted_three_times(trace):
    first = events(trace("2023-11-16 18:17:03.9799600,4808,10"))

    common = {"customerId": "cust_1", "occurredAt": "2023-11-16T18:17:03.979960+00:00"}
    assert first == [
        common | {"metricName": metric, "quantity": quantity, "idempotencyKey": f"few-0-{metric}"}
        for metric, quantity in (("requests", 1), ("input_tokens", 4808), ("output_tokens", 10))
    ]


def test_rows_go_to_five_customers_in_turn_whatever_their_order_in_time(trace):
    found = trace(*(f"2024-0{month}-01T00:00:00Z,1,1" for month in (3, 1, 2, 3, 1, 2)))

    customers = {event["idempotencyKey"]: event["customerId"] for event in events(found)}
    assert customers["few-0-requests"] == customers["few-5-requests"] == "cust_1"
    assert customers["few-4-requests"] == "cust_5"
    assert (found.start, found.end) == (
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 4, 1, tzinfo=UTC),
    )


def test_each_month_is_sent_with_the_clock_at_its_last_row(trace):
    found = trace("2024-01-31T23:30:00-01:00,1,1", "2024-02-03,1,1", "2024-01-07 12:00:00,1,1")

    segments = [(segment.clock, segment.event_count) for segment in found.segments()]
    assert segments == [
        (datetime(2024, 1, 7, 12, tzinfo=UTC), 3),
        (datetime(2024, 2, 3, tzinfo=UTC), 6),
    ]


def test_other_columns_and_a_byte_order_mark_do_no_harm(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(f"\ufeff{HEADER},Model\n2024-01-01,1,2,large\n", encoding="utf-8")

    assert len(events(Trace(path))) == 3


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["2024-01-01,1,2", "2024-01-01,x,2"], "line 3: column ContextTokens: 'x' is not a whole"),
        (["2024-01-01,1,-2"], "line 2: column GeneratedTokens: '-2' is not a whole"),
        (["2024-01-01,1.5,2"], "line 2: column ContextTokens: '1.5' is not a whole"),
        (["2024-01-01,1"], "line 2: column GeneratedTokens is missing"),
        (["2024-13-01,1,2"], "line 2: column TIMESTAMP: month must be in 1..12"),
        (["yesterday,1,2"], "line 2: column TIMESTAMP: Invalid isoformat string: 'yesterday'"),
        (["9999-12-31,1,2"], "line 2: column TIMESTAMP: the year 9999 cannot be billed"),
        ([], "holds no requests"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_with_its_column(trace, rows, complaint):
    with pytest.raises(Unreadable) as refused:
        trace(*rows)

    assert complaint in refused.value.detail


def test_a_file_without_its_columns_is_refused(trace):
    with pytest.raises(Unreadable, match="has no column ContextTokens, GeneratedTokens"):
        trace("2024-01-01", header="TIMESTAMP")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "bytes.csv"
    path.write_bytes(bytes(range(256)))

    with pytest.raises(Unreadable, match="is no CSV"):
        Trace(path)
