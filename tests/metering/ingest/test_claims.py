"""Who is drained next: one tenant's flood does not hold up another's events."""

from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from metering.ingest import inbox
from metering.ingest.inbox import WaitingRow, fair_shares
from metering.models import InboxBatch, UsageEvent
from metering.services.ingest import drain_once
from tests.factories import ApiKeyFactory, SandboxFactory
from tests.metering.conftest import NOW, Seller
from tests.metering.events import event

A, B, C = (UUID(int=number) for number in (1, 2, 3))


def rows(*waiting):
    return [WaitingRow(number, *row) for number, row in enumerate(waiting)]


def test_a_single_tenant_takes_all_there_is():
    assert fair_shares(rows((A, 100), (A, 100), (A, 100)), limit=200) == [0, 1]


def test_two_tenants_share_a_drain_in_halves():
    waiting = rows(*[(A, 100)] * 10, *[(B, 100)] * 10)

    assert sorted(fair_shares(waiting, limit=400)) == [0, 1, 10, 11]


def test_what_a_short_queue_leaves_goes_to_the_long_one():
    waiting = rows(*[(A, 100)] * 10, (B, 50))

    assert sorted(fair_shares(waiting, limit=450)) == [0, 1, 2, 3, 10]


def test_the_last_row_of_a_share_is_taken_whole():
    assert fair_shares(rows((A, 10_000)), limit=20) == [0]


TENANTS = st.sampled_from([A, B, C])


@given(st.lists(st.tuples(TENANTS, st.integers(1, 500)), max_size=60), st.integers(1, 3_000))
def test_every_tenant_gets_its_oldest_rows_and_about_as_many_events(waiting, limit):
    waiting = rows(*waiting)
    taken = fair_shares(waiting, limit=limit)
    size = {row.id: row.event_count for row in waiting}
    got = dict.fromkeys((row.tenant_id for row in waiting), 0)

    for tenant in got:
        own = [row.id for row in waiting if row.tenant_id == tenant]
        mine = [row for row in own if row in taken]
        assert own[: len(mine)] == mine
        got[tenant] = sum(size[row] for row in mine)
        if mine != own:  # nobody who was served by more than a row's difference went first
            assert max(got.values()) <= got[tenant] + max(size.values())
    total = sum(got.values())
    assert total >= min(limit, sum(size.values()))
    assert not taken or total - size[taken[-1]] < limit


def test_rows_of_many_tenants_do_not_pass_the_limit_by_more_than_one():
    tenants = [UUID(int=number) for number in range(1, 500)]

    assert fair_shares(rows(*[(tenant, 10_000) for tenant in tenants]), limit=20_000) == [0, 1]


def test_a_small_tenant_is_drained_beside_a_flood(seller, monkeypatch):
    monkeypatch.setattr(inbox, "CLAIMED_ROWS", 10)
    small = Seller(SandboxFactory(clock_frozen_at=NOW), seller.client, "sk_test_" + "s" * 40)
    small.tenant.unknown_metric = "ACCEPT_UNBILLED"
    small.tenant.save()
    ApiKeyFactory(tenant=small.tenant, secret=small.token)
    for number in range(40):
        seller.send(event(f"flood-{number}"))
    small.post(msgspec.json.encode([event("small-1", metricName="clicks")]))

    drain_once(shard=0, shards=1, now=NOW, limit=5)

    assert not InboxBatch.objects.filter(tenant_id=small.tenant.pk).exists()
    assert InboxBatch.objects.filter(tenant_id=seller.tenant.pk).count() == 36
    assert UsageEvent.objects.filter(tenant_id=seller.tenant.pk).count() == 4
