"""kill -9 of the worker between a push and its events: none is lost, none counts twice.

Both places are met: while pushes wait that nobody has mapped, and in the middle of mapping one.
"""

import os
import signal
import time

import httpx
import msgspec
import pytest
import redis

from aforo.embedded.stack import Stack
from tests.slow.installations import PATIENCE, Tenant
from tests.slow.test_kills import kill_and_see_it_started
from tests.waiting import eventually
from webhooks.inbound.signatures import sign

pytestmark = pytest.mark.slow

RULE = {
    "items": "$.lines",
    "customer": "$.customer",
    "metric": "input_tokens",
    "quantity": "@.cents",
    "quantityScale": "0.01",
    "eventKey": "@.id",
}
LINES = 3  # events of one push


def source_of(tenant: Tenant) -> dict[str, str]:
    answer = httpx.post(
        f"{tenant.url}/api/v1/webhook-sources",
        json={"name": "a sender", "mappings": [RULE], "rateLimit": 100_000},
        headers={"Authorization": f"Bearer {tenant.operator_key}"},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def push(tenant: Tenant, source: dict[str, str], number: int) -> None:
    """One push of several events, answered 202 at once; an unsure sender repeats it."""
    lines = [{"id": f"line-{number}-{place}", "cents": 100} for place in range(LINES)]
    body = msgspec.json.encode({"id": f"evt-{number}", "customer": "cust_1", "lines": lines})
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "X-Aforo-Timestamp": timestamp,
        "X-Hub-Signature-256": sign(source["secret"].encode(), body, timestamp=timestamp),
    }
    path = f"{tenant.url}/v1/ingest/webhook/{source['id']}"
    for _ in range(2 if number % 5 == 0 else 1):
        assert httpx.post(path, content=body, headers=headers).status_code == 202


def unmapped(tenant: Tenant) -> int:
    waiting = (
        "SELECT count(*) FROM webhook_deliveries WHERE tenant_id = %s AND verdict = 'RECEIVED'"
    )
    return tenant.rows(waiting)[0][0]


def test_a_worker_killed_before_or_while_it_maps_loses_nothing(stack: Stack, inside, tenant):
    source = source_of(tenant)
    os.killpg(stack.pid_of("worker"), signal.SIGSTOP)  # takes messages, and does nothing about them
    for number in range(20):
        push(tenant, source, number)
    assert unmapped(tenant) == 24
    kill_and_see_it_started(stack, "worker")
    with redis.Redis.from_url(stack.redis_url) as valkey:
        valkey.flushall()  # and every message is lost
    assert eventually(lambda: unmapped(tenant) == 0, within=PATIENCE)

    with tenant.database() as connection:
        connection.execute("LOCK TABLE inbox_batches IN SHARE ROW EXCLUSIVE MODE")
        for number in range(20, 25):
            push(tenant, source, number)
        assert eventually(tenant.somebody_waits_for_a_lock, within=PATIENCE)
        kill_and_see_it_started(stack, "worker")  # mapped, and nothing of it written
        assert unmapped(tenant) > 0
    assert eventually(lambda: unmapped(tenant) == 0, within=PATIENCE)
    assert tenant.has_drained()

    events = "SELECT idempotency_key, quantity FROM usage_events WHERE tenant_id = %s"
    keys = {f"line-{number}-{place}" for number in range(25) for place in range(LINES)}
    found = tenant.rows(events)
    assert len(found) == 25 * LINES
    assert {key.split(":")[2]: quantity for key, quantity in found} == dict.fromkeys(keys, 1)
    account = tenant.account()
    assert account.pop("received") == sum(account.values())
    assert account["counted"] == 25 * LINES
    assert account.keys() <= {"counted", "duplicates"}
    assert inside.ask("broken_truths") == {}
