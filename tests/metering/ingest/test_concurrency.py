"""Many drains at one inbox: each event counts once, no gaps, nobody waits for ever."""

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import msgspec
import pytest
from django.db import connection, connections, transaction
from django.test import Client

from metering.ingest import enrichment
from metering.models import DeadLetter, InboxBatch, RunningTotal, UsageEvent
from metering.services.ingest import drain_once
from tests.factories import NOW, BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import TIERS, Seller, subscribe
from tests.metering.events import event, outcomes
from tests.metering.ledger import assert_nothing_is_lost, assert_totals_hold

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 8
CUSTOMERS = 5


@pytest.fixture(autouse=True)
def connections_for_all(transactional_db):
    """As many as there are processes in a real installation, each with a pool of its own."""
    usual = connection.pool.max_size
    connection.pool.resize(1, 2 * THREADS + 2)
    yield
    connection.pool.resize(1, usual)


@pytest.fixture
def crowd(seller):
    """Five customers on one plan with a unit of each aggregation."""
    units = {
        name: BillableUnitFactory(tenant=seller.tenant, name=name, **fields)
        for name, fields in {
            "sums": {"aggregation": "SUM", "unit_cost": "0.1"},
            "counts": {"aggregation": "COUNT", "source_metric": "sums"},
            "largest": {"aggregation": "MAX", "source_metric": "sums"},
            "users": {"aggregation": "UNIQUE", "event_field": "user", "source_metric": "sums"},
        }.items()
    }
    terms = {"model": "GRADUATED", "tiers": TIERS}
    version = RatePlanVersionFactory(
        tenant=seller.tenant, prices=dict.fromkeys(units.values(), terms), published=True
    )
    for number in range(CUSTOMERS):
        subscribe(seller.tenant, f"crowd_{number}", version)
    return seller


def crowd_event(number, chance):
    return event(
        number,
        customerId=f"crowd_{number % CUSTOMERS}",
        metricName="sums",
        quantity=chance.randint(0, 500),
        metadata={"user": f"user-{chance.randint(1, 30)}"},
    )


def in_threads(work):
    """Run `work(number)` in eight threads at once; what each returned."""
    start = Barrier(THREADS)

    def run(number):
        start.wait()
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def elsewhere(work):
    """What `work` returns on another connection."""

    def run():
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def drain_until(is_done, *, limit):
    drained = 0
    while True:
        count = drain_once(shard=0, shards=1, now=NOW, limit=limit)
        drained += count
        if not count and is_done():
            return drained


def is_empty():
    return not InboxBatch.objects.exists()


def test_eight_drains_count_each_event_once(crowd):
    chance = random.Random(1)
    events = [crowd_event(number, chance) for number in range(2_000)]
    resent = [chance.sample(events, 25) for _ in range(40)]
    batches = [events[start : start + 25] for start in range(0, 2_000, 25)] + resent
    chance.shuffle(batches)
    for batch in batches:
        crowd.send(*batch)
    drained = in_threads(lambda _: drain_until(is_empty, limit=60))
    assert sum(drained) == 3_000
    assert outcomes() == {"counted": 2_000, "duplicates": 1_000}
    assert RunningTotal.objects.count() == CUSTOMERS * 4
    assert UsageEvent.objects.count() == 2_000 * 4
    assert_totals_hold()
    assert_nothing_is_lost(3_000)


def test_the_same_batch_in_any_order_in_eight_drains_is_counted_once(crowd):
    """Every drain wants the same keys and totals: unsorted, they would lock each other out."""
    chance = random.Random(2)
    events = [crowd_event(number, chance) for number in range(300)]
    for _ in range(THREADS * 3):
        chance.shuffle(events)
        crowd.send(*events)
    drained = in_threads(lambda _: drain_until(is_empty, limit=1))
    assert sum(drained) == 300 * THREADS * 3
    assert outcomes() == {"counted": 300, "duplicates": 300 * (THREADS * 3 - 1)}
    assert_totals_hold()
    assert_nothing_is_lost(300 * THREADS * 3)


def test_conflicts_and_homeless_among_drains_are_each_judged_once(crowd):
    """Per key one event counts, whoever comes first; all others are dead letters."""
    for number in range(THREADS * 4):
        crowd.send(
            *(event(key, metricName="calls", quantity=number) for key in range(50)),
            *(event(key, customerId="nobody", quantity=number) for key in range(50, 60)),
        )
    in_threads(lambda _: drain_until(is_empty, limit=1))
    assert outcomes() == {"counted": 50, "dead": 50 * (THREADS * 4 - 1) + 10 * THREADS * 4}
    codes = set(DeadLetter.objects.values_list("code", "occurrences"))
    assert codes == {("IDEMPOTENCY_CONFLICT", 1), ("UNKNOWN_CUSTOMER", 1)}
    assert_totals_hold()
    assert_nothing_is_lost(60 * THREADS * 4)


def test_eight_senders_and_eight_drains_at_once(crowd):
    sent = Event()

    def send(number):
        chance = random.Random(number)
        own = Seller(crowd.tenant, Client())
        answers = []
        for start in range(0, 200, 20):
            # Neighbours send half of the same events: client libraries that retry.
            keys = range(number * 100 + start, number * 100 + start + 20)
            same = [crowd_event(key, random.Random(key)) for key in keys]
            chance.shuffle(same)
            answers.append(own.send(*same).status_code)
        return answers

    def drain(_):
        return drain_until(lambda: sent.is_set() and is_empty(), limit=100)

    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(in_threads, drain)
        answered = in_threads(send)
        sent.set()
        counts = drained.result()
    assert answered == [[202] * 10] * THREADS
    assert sum(counts) == 200 * THREADS
    assert outcomes() == {"counted": 900, "duplicates": 700}
    assert_totals_hold()
    assert_nothing_is_lost(200 * THREADS)


def test_a_drain_leaves_rows_alone_that_another_one_holds(crowd):
    crowd.send(event(1))
    crowd.send(event(2))
    with transaction.atomic():
        InboxBatch.objects.select_for_update().earliest("id")
        drained = elsewhere(lambda: drain_until(lambda: True, limit=100))
    assert drained == 1
    assert [row.idempotency_key for row in UsageEvent.objects.all()] == ["key-2"]
    crowd.drain()
    assert outcomes() == {"counted": 2}


def test_a_poisoned_batch_is_searched_by_one_drain_while_others_go_on(crowd, monkeypatch):
    attach = enrichment.TenantContracts.targets

    def targets(self, arrival):
        if arrival.key.startswith("key-bad"):
            raise ValueError(arrival.key)
        return attach(self, arrival)

    monkeypatch.setattr(enrichment.TenantContracts, "targets", targets)
    for start in range(0, 400, 20):
        good = [event(number) for number in range(start, start + 20)]
        crowd.send(*good[:7], event(f"bad-{start}"), *good[7:])
    in_threads(lambda _: drain_until(is_empty, limit=50))
    assert outcomes() == {"counted": 400, "dead": 20}
    assert_totals_hold()
    assert_nothing_is_lost(420)


def test_the_door_answers_only_what_is_committed(crowd):
    """Another connection sees the row as soon as the answer is there."""
    answer = crowd.send(event(1))

    def seen():
        return list(InboxBatch.objects.values_list("batch_id", flat=True))

    assert answer.status_code == 202
    assert [str(one) for one in elsewhere(seen)] == [answer.json()["batchId"]]


def test_what_fails_to_commit_is_not_answered_with_202(crowd):
    """A constraint that is only looked at when the transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = '40001'; END$$"
        )
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER never AFTER INSERT ON inbox_batches"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION never()"
        )
    try:
        answer = crowd.send(event(1))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION never CASCADE")
    assert answer.status_code == 503
    assert msgspec.json.decode(answer.content)["code"] == "UNAVAILABLE"
    assert is_empty()
