"""Late events for review: those that were counted in spite of it."""

import pytest
from django.db import connection

from metering.models import UsageEvent
from metering.selectors.held import late_events
from tests.clients import operator_client
from tests.factories import TenantFactory
from tests.metering.events import event, outcomes

pytestmark = pytest.mark.django_db
PATH = "/api/v1/late-events"
YESTERDAY = "2026-03-14T11:59:59Z"


def keys(page):
    return [row["idempotencyKey"] for row in page["content"]]


def test_late_events_of_an_open_period_are_counted_and_listed(seller):
    seller.count(event(1, occurredAt=YESTERDAY), event(2, occurredAt="2026-03-14T12:00:00Z"))
    seller.count(event(3, occurredAt="2026-03-01T00:00:00Z"), event(4))
    assert outcomes() == {"counted": 4}
    client = operator_client(seller.tenant, role="MEMBER")
    page = client.get(PATH).json()
    assert keys(page) == ["key-3", "key-1"]
    assert (page["content"][0]["late"], page["nextCursor"]) == (True, None)


def test_they_are_leafed_through(seller):
    seller.count(*(event(n, occurredAt=YESTERDAY) for n in range(5)))
    client = operator_client(seller.tenant)
    first = client.get(PATH, {"size": 3}).json()
    second = client.get(PATH, {"size": 3, "cursor": first["nextCursor"]}).json()
    assert keys(first) + keys(second) == [f"key-{n}" for n in (4, 3, 2, 1, 0)]
    assert second["nextCursor"] is None
    assert client.get(PATH, {"cursor": "x"}).status_code == 400


def test_nobody_sees_those_of_another_tenant(seller):
    seller.count(event(1, occurredAt=YESTERDAY))
    assert operator_client(TenantFactory()).get(PATH).json()["content"] == []


def test_the_list_is_read_from_an_index_of_its_own(seller):
    seller.count(event(1, occurredAt=YESTERDAY))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM usage_events WHERE tenant_id = %s AND late ORDER BY id DESC"
            " LIMIT 50",
            [seller.tenant.id],
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "tenant_id_id" in plan
    assert "Seq Scan" not in plan
    assert [one.pk for one in late_events(tenant=seller.tenant, before=None, size=9)] == [
        UsageEvent.objects.get().pk
    ]
