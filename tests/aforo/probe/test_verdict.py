"""The probe's judgement: what it sends is known from numbers, and nothing that is wrong passes."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import connection
from django.utils import timezone

from aforo.probe.run import SANDBOX, probe_tenant
from aforo.probe.sender import Acknowledged
from aforo.probe.traffic import EVENTS_OF_A_BATCH, METRICS, Stream
from aforo.probe.verdict import Books, judge
from aforo.tenancy.models import Tenant
from metering.ingest import enrichment, known
from metering.services.ingest import drain_once
from tests.factories import ApiKeyFactory

BATCHES = 6
TOKEN = "sk_test_" + "p" * 40


def test_every_event_of_a_run_has_a_key_of_its_own_but_for_the_repeats():
    stream = Stream("run", 0, datetime(2026, 3, 15, tzinfo=UTC))
    events = [event for number in range(1, 51) for event in stream.batch(number)]
    keys = {event["idempotencyKey"]: event for event in events}
    expected = stream.expected(50)

    assert len(events) == 50 * EVENTS_OF_A_BATCH - 3  # the first batch repeats nothing
    assert len(events) - len(keys) == expected.duplicates
    assert len(keys) == expected.counted + expected.dead
    assert all(keys[event["idempotencyKey"]] == event for event in events)


def test_what_is_expected_of_the_totals_is_the_sum_of_the_events():
    stream = Stream("run", 3, datetime(2026, 3, 15, tzinfo=UTC))
    sums = dict.fromkeys(METRICS, Decimal(0))
    keys = set()
    for number in range(1, 30):
        for event in stream.batch(number):
            bad = event["metricName"] not in METRICS or event["customerId"] == "nobody"
            if not bad and event["idempotencyKey"] not in keys:
                keys.add(event["idempotencyKey"])
                is_count = event["metricName"] == "requests"
                sums[event["metricName"]] += 1 if is_count else Decimal(event["quantity"])

    assert stream.sums(29) == sums


def test_the_probe_has_one_tenant_whose_periods_are_never_billed(db):
    now = timezone.now()

    assert probe_tenant(now=now) == probe_tenant(now=now)
    assert Tenant.objects.filter(slug__startswith="aforo-probe").count() == 2
    assert Tenant.objects.get(slug=SANDBOX).settlement_delay.days == 3650


@pytest.fixture
def sent(db, client, monkeypatch):
    """Batches of one client through the door, some of them twice, and drained."""
    monkeypatch.setattr("metering.ingest.wake.ask_for_drain", lambda _: None)
    known.forget_everything()
    enrichment.forget_everything()
    tenant = probe_tenant(now=timezone.now())
    ApiKeyFactory(tenant=tenant, secret=TOKEN)
    before = Books.of(tenant)
    stream = Stream("run", 0, timezone.now())
    bodies = [body for _, body in zip(range(BATCHES), stream.batches(), strict=False)]
    for door, body in [*bodies, *bodies[:2]]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert client.post(door, body, "application/json", headers=headers).status_code == 202
    while drain_once(shard=0, shards=1, now=timezone.now()):
        pass
    sender = SimpleNamespace(stream=stream, acknowledged=Acknowledged(batches=BATCHES))
    return lambda: judge(tenant, "run", before, [sender])


def test_a_calm_run_holds_and_its_figures_are_those_of_the_books(sent):
    verdict = sent()

    assert verdict.broken == ()
    assert str(verdict) == "received=146 counted=84 duplicates=46 dead=16 lost=0 doubled=0"


def tamper(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_lost_event_is_found(sent):
    tamper("DELETE FROM usage_events WHERE id = (SELECT max(id) FROM usage_events)")

    verdict = sent()

    assert verdict.lost == 1
    assert any("84 events were to be counted" in sentence for sentence in verdict.broken)


def test_an_event_that_was_counted_twice_is_found(sent):
    columns = (
        "tenant_id, customer_id, subscription_id, plan_version_id, unit_id, running_total_id,"
        ' "position", idempotency_key, metric, quantity, revenue, cost, occurred_at, received_at,'
        " late, source, batch_id, batch_index, digest"
    )
    tamper(
        f"INSERT INTO usage_events ({columns}) SELECT {columns} FROM usage_events"
        " ORDER BY id LIMIT 1"
    )

    assert sent().doubled == 1


def test_a_total_that_is_a_trillionth_off_is_found(sent):
    tamper("UPDATE running_totals SET quantity = quantity + 0.000000000001 WHERE id % 2 = 0")

    assert any("the totals of" in sentence for sentence in sent().broken)


def test_a_dead_letter_that_vanished_is_found(sent):
    tamper("DELETE FROM dead_letters WHERE id = (SELECT id FROM dead_letters LIMIT 1)")

    broken = sent().broken

    assert any("11 dead letters were left" in sentence for sentence in broken)
    assert any(sentence.startswith("received = ") for sentence in broken)
