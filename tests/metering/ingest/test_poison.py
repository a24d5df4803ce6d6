"""Events that make the drain fail are set aside; their neighbours are counted once."""

import json

import msgspec
import pytest
from django.db import DataError, OperationalError, ProgrammingError

from aforo.errors import Unreadable
from metering.ingest import drain, enrichment, events, rating, write
from metering.ingest.rows import RowMaker
from metering.models import DeadLetter, EventKey, InboxBatch, Receipt
from tests.metering.events import codes, event, inbox, outcomes, rows, the_total
from tests.metering.ledger import assert_totals_hold

RAISED = [
    ValueError("a value"),
    TypeError("a type"),
    KeyError("a key"),
    ArithmeticError("a number"),
    RecursionError("a depth"),
    RuntimeError("anything"),
    AssertionError("nobody thought of it"),
    msgspec.ValidationError("a shape"),
    DataError("a column"),
]


@pytest.fixture
def fails_for(monkeypatch):
    """Make the step that attaches contracts fail for these keys."""

    def fail(*keys, error=RAISED[0]):
        attach = enrichment.TenantContracts.targets

        def targets(self, arrival):
            if arrival.key in keys:
                raise error
            return attach(self, arrival)

        monkeypatch.setattr(enrichment.TenantContracts, "targets", targets)

    return fail


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_event_that_makes_the_drain_fail_is_set_aside(seller, fails_for, error):
    fails_for("key-3", error=error)
    answer = seller.count(*(event(number) for number in range(7)))
    assert outcomes(answer) == {"counted": 6, "dead": 1}
    letter = DeadLetter.objects.get()
    assert (letter.code, letter.batch_index) == ("UNPROCESSABLE", 3)
    assert msgspec.json.decode(bytes(letter.event)) == event(3)
    assert EventKey.objects.count() == 6
    assert the_total().event_count == 6


@pytest.mark.parametrize("bad", [(0,), (6,), (0, 6), (2, 3, 4), tuple(range(7))])
def test_every_offender_of_a_batch_is_set_aside(seller, fails_for, bad):
    fails_for(*(f"key-{number}" for number in bad))
    seller.count(*(event(number) for number in range(7)))
    assert sorted(DeadLetter.objects.values_list("batch_index", flat=True)) == list(bad)
    assert [row.idempotency_key for row in rows()] == [
        f"key-{number}" for number in range(7) if number not in bad
    ]


def test_one_offender_among_many_batches_holds_up_none(seller, fails_for):
    fails_for("key-11", "key-12", "key-40")
    for start in range(0, 50, 5):
        seller.send(*(event(number) for number in range(start, start + 5)))
    assert seller.drain() == 50
    assert outcomes() == {"counted": 47, "dead": 3}
    assert [row.position for row in rows()] == list(range(1, 48))
    assert inbox() == []


@pytest.fixture
def drains(monkeypatch):
    """One entry for each time that counting is tried."""
    tried = []
    count = drain.count

    def counted(*args):
        tried.append(args)
        count(*args)

    monkeypatch.setattr(drain, "count", counted)
    return tried


def test_one_offender_is_found_by_halves(seller, fails_for, drains):
    fails_for("key-700")
    seller.count(*(event(number) for number in range(1_000)))
    assert outcomes() == {"counted": 999, "dead": 1}
    assert len(drains) < 30


def test_a_batch_of_offenders_costs_two_trials_each(seller, fails_for, drains):
    fails_for(*(f"key-{number}" for number in range(100)))
    seller.count(*(event(number) for number in range(100)))
    assert outcomes() == {"dead": 100}
    assert len(drains) <= 205


def test_events_that_fail_only_together_are_set_aside_until_the_rest_counts(seller, monkeypatch):
    """No event fails alone: then the first ones up to which it works are counted."""
    price = rating.price

    def at_most_three(locked, take):
        if sum(map(len, locked.groups.values())) > 3:
            raise ValueError("too many")
        price(locked, take)

    monkeypatch.setattr(rating, "price", at_most_three)
    seller.count(*(event(number) for number in range(6)))
    assert outcomes() == {"counted": 3, "dead": 3}
    assert codes() == ["UNPROCESSABLE"] * 3
    assert inbox() == []


def test_a_failure_after_rows_have_left_takes_them_back(seller, monkeypatch):
    """Rows go to the server while later ones are priced: the first pieces are there by then."""
    priced = RowMaker.priced

    def breaks(self, arrival, *args):
        if arrival.key == "key-5":
            raise ValueError("cannot be priced")
        return priced(self, arrival, *args)

    monkeypatch.setattr(write, "LINES_PER_PIECE", 1)
    monkeypatch.setattr(RowMaker, "priced", breaks)
    seller.count(event("tokens", metricName="tokens"), *(event(number) for number in range(7)))
    assert outcomes() == {"counted": 7, "dead": 1}
    assert codes() == ["UNPROCESSABLE"]
    assert_totals_hold()


def test_a_replay_of_what_was_set_aside_counts(seller, fails_for, monkeypatch):
    fails_for("key-1")
    seller.count(event(1))
    monkeypatch.undo()
    seller.count(event(1))
    assert outcomes() == {"counted": 1, "dead": 1}


@pytest.mark.parametrize("error", [OperationalError("gone"), ProgrammingError("no such table")])
def test_a_server_that_is_away_is_no_fault_of_an_event(seller, fails_for, error):
    seller.send(event(1), event(2))
    fails_for("key-1", error=error)
    with pytest.raises(type(error)):
        seller.drain()
    assert len(inbox()) == 1
    assert codes() == []
    assert not Receipt.objects.exists()


def test_a_failure_that_no_event_causes_is_raised(seller, monkeypatch):
    def broken(*_, **__):
        raise ValueError("receipts are broken")

    monkeypatch.setattr(write, "receipts", broken)
    seller.send(event(1), event(2))
    with pytest.raises(ValueError, match="receipts are broken"):
        seller.drain()
    assert len(inbox()) == 1
    assert codes() == []


@pytest.mark.parametrize(
    "body",
    [b"no lz4 frame", bytes.fromhex("04224d18"), b""],
    ids=["noise", "cut off", "empty"],
)
def test_a_body_that_cannot_be_opened_stalls_no_shard(seller, body):
    seller.send(event(1), event(2), event(3))
    InboxBatch.objects.update(body=body)
    seller.send(event(4))
    seller.drain()
    assert inbox() == []
    assert outcomes() == {"counted": 1, "dead": 3}
    letter = DeadLetter.objects.get()
    assert (letter.code, letter.occurrences, bytes(letter.event)) == ("UNREADABLE_BATCH", 3, body)


def test_a_body_that_was_readable_only_at_the_door_stalls_no_shard(seller, monkeypatch):
    seller.send(event(1, quantity=[[[1]]]), event(2))
    monkeypatch.setattr(events, "split", _too_deep)
    seller.drain()
    assert inbox() == []
    assert codes() == ["UNREADABLE_BATCH"]
    assert outcomes() == {"dead": 2}


def _too_deep(_):
    raise Unreadable("nested too deep for this stack")


# --- texts that a careless writer would break on ------------------------------------------

TEXTS = [
    "\\",
    "\\N",
    "\\.",
    "\\\\x41",
    "tab\there",
    "line\nbreak\r\n",
    "\b\f\v\x1b\x7f",
    "quote \" and ' and {,} and $1 %s %%",
    "größe",
    "\U0001f600 \U0010ffff",
    "e\u0301 \u200f\u202e\ufeff\ufffe\uffff",
    "\u2028\u2029\x85",
    " leading and trailing ",
    "NULL",
    "\ufffd",
]


@pytest.mark.parametrize("escaped", [True, False], ids=["ascii", "utf-8"])
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_as_it_was_sent(seller, text, escaped):
    seller.tenant.unknown_metric = "ACCEPT_UNBILLED"
    seller.tenant.save()
    fields = {
        "idempotencyKey": text,
        "productType": text,
        "sessionId": text,
        "agentId": text,
        "toolName": text,
        "traceId": text,
        "metadata": {text: [text, {text: text}]},
    }
    counted = event(**fields)
    unbilled = event(**fields | {"idempotencyKey": text + "2"}, metricName=text)
    body = json.dumps([counted, unbilled], ensure_ascii=escaped)
    assert seller.post(body).status_code == 202
    seller.drain()
    assert outcomes() == {"counted": 1, "unbilled": 1}
    for row, sent in zip(rows(), (counted, unbilled), strict=True):
        assert row.idempotency_key == sent["idempotencyKey"]
        assert row.metric == sent["metricName"]
        texts = {row.product_type, row.session_id, row.agent_id, row.tool_name, row.trace_id}
        assert texts == {text}
        assert json.loads(row.metadata) == sent["metadata"]
        assert json.dumps(sent["metadata"], ensure_ascii=escaped) == row.metadata


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives_a_refusal(seller, text):
    refused = event(customerId=text, idempotencyKey=text, metadata={text: text})
    seller.post(json.dumps(refused))
    seller.drain()
    letter = DeadLetter.objects.get()
    assert json.loads(bytes(letter.event)) == refused
    assert letter.code == "UNKNOWN_CUSTOMER"
