"""The drain: what becomes of each batch, in a constant number of statements, or not at all."""

import gc
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
import pytest
from django.db import OperationalError
from psycopg import Cursor

from metering.ingest import write
from metering.models import DeadLetter, EventKey, HeldEvent, Receipt, RunningTotal, UsageEvent
from metering.services.ingest import drain_once, drain_shard, sweep_inbox
from tests.factories import NOW
from tests.metering.events import billed, codes, event, inbox, outcomes, rows, the_total

# --- what becomes of events ----------------------------------------------------------------


def test_every_fate_has_its_place_in_the_receipt(seller):
    seller.tenant.unknown_metric = "ACCEPT_UNBILLED"
    seller.tenant.save()
    answer = seller.count(
        event(1),
        event(2, metricName="strange"),
        event(1),
        event(1, quantity=5),
        event(3, quantity=-1),
        event(4, customerId="nobody"),
        event(5, occurredAt="2026-03-15T13:00:00Z"),
    )
    assert outcomes(answer) == {"counted": 1, "unbilled": 1, "duplicates": 1, "dead": 4}
    assert codes() == [
        "IDEMPOTENCY_CONFLICT",
        "INVALID_QUANTITY",
        "TIMESTAMP_IN_FUTURE",
        "UNKNOWN_CUSTOMER",
    ]
    assert inbox() == []


def test_an_event_carries_its_whole_context(seller):
    answer = seller.count(event(1), event(2, metricName="tokens", quantity=1500))
    call, tokens = sorted(rows(), key=lambda row: row.metric)
    total = RunningTotal.objects.get(id=tokens.running_total_id)
    assert tokens.tenant_id == seller.tenant.id
    assert (tokens.customer_id, tokens.subscription_id) == (
        call.customer_id,
        total.subscription_id,
    )
    assert (tokens.plan_version_id, tokens.unit_id) == (total.plan_version_id, total.unit_id)
    assert (tokens.position, tokens.quantity, str(tokens.revenue)) == (1, 1500, "12.5")
    assert (call.position, str(call.revenue), str(call.cost)) == (1, "0.02", "0.001")
    assert (tokens.source, str(tokens.batch_id)) == ("API", answer.json()["batchId"])
    assert (call.batch_index, tokens.batch_index) == (0, 1)
    assert tokens.received_at == NOW


def test_the_receipt_says_when(seller):
    answer = seller.send(event(1))
    arrived_at = inbox()[0].arrived_at
    later = datetime(2026, 3, 15, 12, 0, 7, tzinfo=UTC)
    drain_once(shard=0, shards=1, now=later)
    receipt = Receipt.objects.get()
    assert str(receipt.batch_id) == answer.json()["batchId"]
    assert (receipt.received_at, receipt.arrived_at, receipt.drained_at) == (
        NOW,
        arrived_at,
        later,
    )
    assert (receipt.tenant_id, receipt.source) == (seller.tenant.id, "API")


@pytest.mark.parametrize(
    ("occurred_at", "late"),
    [
        ("2026-03-14T12:00:00Z", False),
        ("2026-03-14T11:59:59.999999Z", True),
        ("2026-03-01T00:00:00Z", True),
        (..., False),
    ],
)
def test_late_is_judged_by_the_time_of_receipt_not_of_the_drain(seller, occurred_at, late):
    seller.send(event(occurredAt=occurred_at))
    drain_once(shard=0, shards=1, now=datetime(2026, 3, 25, tzinfo=UTC))
    assert [row.late for row in rows()] == [late]


def test_a_drain_refuses_nothing_that_has_grown_old_in_the_inbox(seller):
    seller.send(event(1, occurredAt="2026-03-15T12:05:00Z"), event(2))
    drain_once(shard=0, shards=1, now=datetime(2026, 9, 1, tzinfo=UTC))
    assert outcomes() == {"counted": 2}


def test_batches_are_merged_up_to_the_limit(seller):
    for number in range(5):
        seller.send(event(number), event(f"{number} too"))
    assert drain_once(shard=0, shards=1, now=NOW, limit=4) == 4
    assert len(inbox()) == 3
    assert drain_once(shard=0, shards=1, now=NOW, limit=5) == 6


def test_the_oldest_batch_goes_first(seller):
    for number in range(3):
        seller.send(event(number))
    drain_once(shard=0, shards=1, now=NOW, limit=1)
    assert [row.idempotency_key for row in rows()] == ["key-0"]


def test_a_shard_drains_its_own_tenants_only(seller):
    seller.send(event(1))
    (bucket,) = [row.bucket for row in inbox()]
    other = 0 if bucket % 2 else 1
    assert drain_once(shard=other, shards=2, now=NOW) == 0
    assert drain_once(shard=bucket % 2, shards=2, now=NOW) == 1


def test_a_task_drains_until_nothing_waits(seller, settings):
    settings.DRAIN_SHARDS = 1
    for number in range(3):
        seller.send(event(number))
    assert drain_shard(shard=0, now=NOW) == 3
    assert drain_shard(shard=0, now=NOW) == 0


def test_a_task_that_meets_a_flood_asks_to_be_called_again(seller, settings, monkeypatch):
    asked = []
    monkeypatch.setattr("metering.ingest.wake.ask_for_drain", asked.append)
    monkeypatch.setattr("metering.services.ingest.ROUNDS", 2)
    monkeypatch.setattr("metering.ingest.inbox.CLAIMED_ROWS", 1)
    settings.DRAIN_SHARDS = 1
    for number in range(3):
        seller.send(event(number))
    asked.clear()
    assert drain_shard(shard=0, now=NOW) == 2
    assert asked == [0]


def test_the_sweep_asks_for_shards_where_something_waits(seller, settings, monkeypatch):
    asked = []
    monkeypatch.setattr("metering.ingest.wake.ask_for_drain", asked.append)
    settings.DRAIN_SHARDS = 256
    assert sweep_inbox() == []
    seller.send(event(1))
    asked.clear()
    assert sweep_inbox() == asked == [inbox()[0].bucket]


def test_dead_letters_of_one_kind_are_one_row(seller):
    refused = event(1, quantity=-1)
    seller.send(refused, refused, event(2))
    seller.tenant.clock_frozen_at = datetime(2026, 3, 15, 13, tzinfo=UTC)
    seller.tenant.save()
    seller.send(refused)
    seller.drain()
    seller.send(refused)
    seller.drain()
    (letter,) = DeadLetter.objects.all()
    assert letter.occurrences == 4
    assert letter.received_at == NOW
    assert letter.last_seen_at == datetime(2026, 3, 15, 13, tzinfo=UTC)
    assert outcomes() == {"counted": 1, "dead": 4}


def test_a_refusal_that_was_dealt_with_may_come_again(seller):
    seller.count(event(1, quantity=-1))
    DeadLetter.objects.update(status="DISCARDED")
    seller.count(event(1, quantity=-1))
    assert sorted(DeadLetter.objects.values_list("status", "occurrences")) == [
        ("DISCARDED", 1),
        ("OPEN", 1),
    ]


# --- billed totals --------------------------------------------------------------------------


def test_events_of_a_billed_total_are_held_and_keep_their_keys(seller):
    seller.count(event(1))
    billed()
    before = RunningTotal.objects.values().get()
    late = event(2, quantity=3, metadata={"a": "ö"})
    answer = seller.count(late, event(1))
    assert outcomes(answer) == {"held": 1, "duplicates": 1}
    assert RunningTotal.objects.values().get() == before
    assert UsageEvent.objects.count() == 1
    held = HeldEvent.objects.get()
    assert (held.status, held.idempotency_key, held.metric) == ("WAITING", "key-2", "calls")
    assert (held.running_total_id, held.quantity) == (before["id"], 3)
    assert (held.occurred_at, held.received_at) == (datetime(2026, 3, 15, 11, tzinfo=UTC), NOW)
    assert (held.batch_index, str(held.batch_id)) == (0, answer.json()["batchId"])
    assert msgspec.json.decode(bytes(held.event)) == late
    seller.count(late)
    assert outcomes() == {"counted": 1, "held": 1, "duplicates": 2}


def test_a_watermark_of_zero_holds_too(seller):
    seller.count(event(1))
    RunningTotal.objects.update(position=0)
    billed()
    seller.count(event(2))
    assert outcomes() == {"counted": 1, "held": 1}


def test_ten_thousand_held_events_take_no_longer_than_others(seller):
    """Each was cut out of the whole batch again: a hundred million events read."""
    seller.count(event("first"))
    billed()
    seller.count(*(event(number) for number in range(10_000)))
    assert outcomes() == {"counted": 1, "held": 10_000}
    assert HeldEvent.objects.count() == 10_000


# --- one transaction ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step", ["usage_events", "held_events", "dead_letters", "receipts", "file_inbox"]
)
def test_a_drain_that_fails_leaves_nothing_behind(seller, monkeypatch, step):
    def broken(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(write, step, broken)
    seller.send(event(1), event(2, quantity=-1))
    with pytest.raises(OperationalError):
        seller.drain()
    assert len(inbox()) == 1
    for model in (UsageEvent, RunningTotal, EventKey, DeadLetter, HeldEvent):
        assert not model.objects.exists()


def test_a_second_attempt_gives_events_without_key_the_same_one(seller, monkeypatch):
    answer = seller.send(event(idempotencyKey=...), event(idempotencyKey=...))

    def broken(*_, **__):
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(write, "file_inbox", broken)
        with pytest.raises(OperationalError):
            seller.drain()
    seller.drain()
    batch_id = answer.json()["batchId"]
    assert [row.idempotency_key for row in rows()] == [f"auto:{batch_id}:0", f"auto:{batch_id}:1"]
    assert outcomes() == {"counted": 2}


@pytest.mark.django_db(transaction=True)
def test_a_total_that_was_rolled_back_is_not_remembered(seller, monkeypatch):
    receipts = write.receipts

    def broken(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(write, "receipts", broken)
    seller.send(event(1))
    with pytest.raises(OperationalError):
        seller.drain()
    monkeypatch.setattr(write, "receipts", receipts)
    seller.drain()
    seller.count(event(2))
    assert the_total().event_count == 2
    assert {row.running_total_id for row in rows()} == {the_total().id}


@pytest.mark.django_db(transaction=True)
def test_a_total_that_was_committed_is_remembered(seller, statements):
    made = []
    for number in range(2):
        seller.send(event(number))
        with statements() as sent:
            seller.drain()
        made.append(sum("INSERT INTO running_totals" in sql for sql in sent))
    assert made == [1, 0]
    assert the_total().event_count == 2


# --- a constant number of statements --------------------------------------------------------


@pytest.fixture
def statements(monkeypatch):
    """Record what is sent past Django's cursor."""

    @contextmanager
    def recorded():
        made = []

        def recording(method):
            def send(self, query, *args, **kwargs):
                made.append(str(query))
                return method(self, query, *args, **kwargs)

            return send

        with monkeypatch.context() as patch:
            for name in ("execute", "copy", "executemany"):
                patch.setattr(Cursor, name, recording(getattr(Cursor, name)))
            yield made

    return recorded


def counted_statements(seller, statements, *batches):
    for one in batches:
        seller.send(*one)
    with statements() as made:
        drain_once(shard=0, shards=1, now=NOW)
    return len(made)


def test_one_event_and_three_thousand_take_as_many_statements(seller, statements):
    seller.count(event("warm"))
    one = counted_statements(seller, statements, [event("one")])
    many = counted_statements(seller, statements, [event(number) for number in range(3_000)])
    assert outcomes() == {"counted": 3_002}
    assert 8 < one == many < 16


def test_many_batches_take_as_many_statements_as_one(seller, statements):
    seller.count(event("warm"))
    one = counted_statements(seller, statements, [event("one")])
    many = counted_statements(seller, statements, *([event(number)] for number in range(60)))
    assert one == many


def of_every_fate(start, count):
    """Good, repeated, conflicting, refused and homeless events, and those of new totals."""
    made = []
    for number in range(start, start + count):
        made += [
            event(number),
            event(number),
            event(number, quantity=5),
            event(f"dead {number}", quantity=-number - 1),
            event(f"nobody {number}", customerId=f"nobody {number}"),
            event(f"token {number}", metricName="tokens"),
        ]
    return made


def test_every_fate_takes_as_many_statements_however_many_meet_it(seller, statements):
    seller.count(*of_every_fate(0, 1))
    few = counted_statements(seller, statements, of_every_fate(1, 1))
    many = counted_statements(seller, statements, of_every_fate(2, 300))
    assert few == many


@pytest.mark.parametrize("is_on", [True, False])
def test_a_drain_leaves_the_collector_as_it_was(seller, is_on):
    (gc.enable if is_on else gc.disable)()
    try:
        seller.count(event(1))
        assert gc.isenabled() is is_on
    finally:
        gc.enable()
