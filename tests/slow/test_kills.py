"""kill -9 of everything in the middle of load: what was answered 202 is counted once, and billed.

One installation for all tests; each has a tenant of its own.
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis

from aforo.embedded.stack import Stack
from billing.services.bill_pages import CHUNK
from tests.slow.installations import PATIENCE, Running, Tenant, migrated_folder
from tests.slow.load import CLOCK, END, START, Load, body, request
from tests.waiting import eventually

pytestmark = pytest.mark.slow

BETWEEN_KILLS = 600  # events answered 202


def goes_on(load: Load, *, more: int = BETWEEN_KILLS) -> bool:
    """Whether so many more events are answered 202."""
    before = load.count
    return eventually(lambda: load.count >= before + more, within=PATIENCE)


def kill_and_see_it_started(stack: Stack, part: str) -> None:
    starts = stack.starts_of(part)
    stack.kill(part)
    assert eventually(lambda: stack.starts_of(part) > starts, within=PATIENCE)


def assert_counted_once(tenant: Tenant, load: Load) -> None:
    """Every event that was answered 202 is one row, every total the sum of its rows."""
    events = tenant.rows("SELECT idempotency_key, quantity FROM usage_events WHERE tenant_id = %s")
    assert len(events) == len(load.done.keys)
    assert dict(events) == load.done.keys
    totals = """
        SELECT c.external_id, u.name, t.quantity
        FROM running_totals t
        JOIN subscriptions s ON s.id = t.subscription_id
        JOIN customers c ON c.id = s.customer_id
        JOIN billable_units u ON u.id = t.unit_id
        WHERE t.tenant_id = %s
    """
    found = {(customer, unit): quantity for customer, unit, quantity in tenant.rows(totals)}
    assert found == load.done.sums
    account = tenant.account()
    assert account.pop("received") == sum(account.values())
    assert account.keys() <= {"counted", "duplicates"}
    assert account["counted"] == load.count


def assert_billed_and_proven(tenant: Tenant, *, invoices: int) -> None:
    """One invoice for each period that has ended, numbered without a gap, every proof complete."""
    billed = """
        SELECT count(*), count(DISTINCT period_id), count(DISTINCT number),
               max(substring(number FROM '[0-9]+$')::int)
        FROM invoices WHERE tenant_id = %s AND status = 'OPEN'
    """
    assert tenant.rows(billed) == [(invoices, invoices, invoices, invoices)]
    flaws = tenant.flaws()
    assert len(flaws) == invoices
    assert not any(flaws.values())


def test_whatever_is_killed_under_load_every_202_is_counted_once(stack, inside, tenant):
    with Load(stack.url, tenant.metering_key) as load:
        assert goes_on(load)
        with tenant.locked_totals("cust_1"):
            assert eventually(tenant.somebody_waits_for_a_lock, within=PATIENCE)
            kill_and_see_it_started(stack, "worker")  # half of its drain is done
        for part in ("web", "valkey", "postgres"):
            assert goes_on(load)
            kill_and_see_it_started(stack, part)
        assert goes_on(load)

    assert tenant.has_drained()
    assert_counted_once(tenant, load)
    assert inside.ask("broken_truths") == {}
    assert load.done.broken > 0  # somebody did notice
    assert load.done.statuses.keys() <= {202, 503}

    tenant.bill(start=START, end=END)
    assert_billed_and_proven(tenant, invoices=5)
    assert inside.ask("broken_truths") == {}


def test_events_whose_messages_are_all_lost_are_drained_by_the_sweep(stack, inside, tenant):
    worker, starts = stack.pid_of("worker"), stack.starts_of("worker")
    os.killpg(worker, signal.SIGSTOP)  # takes messages, and does nothing about them

    with Load(stack.url, tenant.metering_key, clients=1) as load:
        assert goes_on(load)
    assert tenant.waiting() > 0
    stack.kill("worker")
    with redis.Redis.from_url(stack.redis_url) as valkey:
        valkey.flushall()

    assert tenant.has_drained()
    assert stack.starts_of("worker") == starts + 1
    assert_counted_once(tenant, load)


def test_events_sent_while_the_broker_hangs_are_drained_by_the_sweep(stack, tenant):
    valkey = stack.pid_of("valkey")
    os.killpg(valkey, signal.SIGSTOP)
    try:
        with Load(stack.url, tenant.metering_key, clients=1) as load:
            assert goes_on(load, more=90)
    finally:
        os.killpg(valkey, signal.SIGCONT)

    assert load.done.statuses.keys() == {202}
    assert tenant.has_drained()
    assert_counted_once(tenant, load)


def test_a_worker_killed_in_the_middle_of_a_bill_run_bills_every_period_once(stack, inside, tenant):
    many = CHUNK + 40
    inside.ask("subscribe", tenant_id=tenant.tenant_id, start=START.isoformat(), count=many)
    last = f"more_{many:04}"
    with tenant.seller() as seller:
        seller.send(body([event | {"customerId": last} for event in request("last", 1)]))
    assert tenant.has_drained()

    with ThreadPoolExecutor() as pool:
        with tenant.locked_totals(last):
            run = pool.submit(tenant.bill, start=START, end=END)
            assert eventually(tenant.somebody_waits_for_a_lock, within=PATIENCE)
            assert eventually(tenant.invoice_count, within=PATIENCE)  # another page goes on
            billed_before = tenant.invoice_count()
            stack.kill("worker")
        run.result()

    assert 0 < billed_before < many  # it was in the middle
    assert_billed_and_proven(tenant, invoices=5 + many)
    assert inside.ask("broken_truths") == {}


def test_events_accepted_before_the_supervisor_is_killed_are_counted_after_the_next_start():
    with migrated_folder() as folder, Running(folder, "up") as up:
        with up.inside() as inside:
            tenant = Tenant.seeded(inside, up.url, start=START)
            with tenant.seller() as seller:
                seller.freeze_clock(CLOCK)
        with Load(up.url, tenant.metering_key) as load:
            assert goes_on(load)
            up.kill_and_start_again()  # everything, at once
            assert goes_on(load)

        with up.inside() as inside:
            tenant = replace(tenant, inside=inside)
            assert tenant.has_drained()
            assert_counted_once(tenant, load)
            assert inside.ask("broken_truths") == {}
