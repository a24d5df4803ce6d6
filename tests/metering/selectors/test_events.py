import tracemalloc

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.tenancy.models import Tenant
from metering import proof
from metering.selectors import events
from metering.selectors.events import CountedEvent, digest_before, events_of_span
from tests.billing.build import priced_subscription
from tests.billing.metered import meter

pytestmark = pytest.mark.django_db


def metered(count):
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "1"}, aggregation="SUM")
    return meter(period, unit, range(count))


def test_the_hashed_columns_come_first_and_the_digest_last():
    assert CountedEvent._fields == (*proof.HASHED_COLUMNS, "digest")


def test_a_span_is_walked_in_order_and_no_further():
    total = metered(9)
    metered(3)
    walked = list(events_of_span(total.id, 2, 5))
    assert [event.position for event in walked] == [2, 3, 4, 5]
    assert [event.quantity for event in walked] == [1, 2, 3, 4]


def test_the_digests_of_a_span_go_on_from_the_one_before():
    total = metered(5)
    key = proof.total_key(bytes(Tenant.objects.get(pk=total.tenant_id).hash_secret), total.id)
    chain = proof.Chain(key, digest_before(total.id, 3))
    for event in events_of_span(total.id, 3, 5):
        assert chain.append(event.canonical()) == bytes(event.digest)
    assert chain.digest == total.digest
    assert digest_before(total.id, 1) == proof.START


def test_a_walk_holds_few_events_at_a_time(monkeypatch):
    monkeypatch.setattr(events, "ROWS_AT_A_TIME", 50)
    total = metered(3_000)
    tracemalloc.start()
    count = sum(1 for _ in events_of_span(total.id, 1, 3_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 3_000
    assert peak < 1_000_000  # all of them at once take five megabytes


def test_a_walk_uses_the_index_of_the_total():
    total = metered(10)
    with CaptureQueriesContext(connection) as queries:
        list(events_of_span(total.id, 1, 10))
    (query,) = [one["sql"] for one in queries if "usage_events" in one["sql"]]
    select = query[query.index("SELECT") :]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {select}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "running_total_id" in plan
    assert "Index Scan" in plan


@pytest.mark.parametrize(
    ("metadata", "field", "same_as"),
    [
        ('{"user":"a"}', "user", '{"user": "a", "more": 1}'),
        ('{"user":1}', "user", '{"user":1,"x":2}'),
        (None, "agentId", '{"x":1}'),
    ],
)
def test_a_unique_value_is_that_of_the_metadata_or_of_the_event(metadata, field, same_as):
    (event,) = events_of_span(metered(1).id, 1, 1)
    one, other = event._replace(metadata=metadata), event._replace(metadata=same_as)
    assert one.value_of(field) == other.value_of(field)
    assert one.value_of(field) != event._replace(metadata='{"user":"z"}').value_of("user")
