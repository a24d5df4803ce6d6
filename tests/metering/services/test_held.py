"""Held events decided: counted at the end of their totals, or let go, once, with a reason."""

from datetime import UTC, datetime

import pytest

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from metering.models import EventKey, HeldEvent, LateTotal, RunningTotal, UsageEvent
from metering.selectors.accounts import account_of
from metering.services.held import accept_event, decide_events, waive_event
from tests.factories import BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import subscribe
from tests.metering.events import billed, event, outcomes, rows, the_total
from tests.metering.ledger import assert_totals_hold
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 3, tzinfo=UTC)
ACTOR = Actor.system("somebody")
Status = HeldEvent.Status


def accept(held, reason="it was ours to bill"):
    return accept_event(held=held, actor=ACTOR, reason=reason, now=NOW)


def waive(held, reason="too small to bill"):
    return waive_event(held=held, actor=ACTOR, reason=reason, now=NOW)


def decide_all(seller, status, chosen=None):
    chosen = HeldEvent.objects.all() if chosen is None else chosen
    return decide_events(
        tenant=seller.tenant, chosen=chosen, status=status, actor=ACTOR, reason="so be it", now=NOW
    )


def account(seller):
    found = account_of(seller.tenant.id)
    assert found.balances, found
    return {
        name: getattr(found, name) for name in ("counted", "held", "waived") if getattr(found, name)
    }


@pytest.fixture
def late(seller):
    """Two counted events of a billed total, and one that is held."""
    seller.count(event(1, metricName="tokens", quantity=900), event(2, metricName="tokens"))
    billed()
    seller.count(event(3, metricName="tokens", quantity=200, metadata={"a": "ö\t\\"}))
    return HeldEvent.objects.get()


def test_an_accepted_event_stands_at_the_end_of_its_total(seller, late):
    assert account(seller) == {"counted": 2, "held": 1}
    accepted = accept(late)
    assert account(seller) == {"counted": 3}
    row = rows()[-1]
    assert (row.position, row.idempotency_key, row.quantity) == (3, "key-3", 200)
    assert str(row.revenue) == "1.495"  # 99 at 0.01 and 101 at 0.005
    assert (row.batch_id, row.batch_index) == (late.batch_id, late.batch_index)
    assert (row.received_at, row.source) == (late.received_at, "API")
    total = the_total()
    assert (total.quantity, total.position, total.billed_position) == (1101, 3, 2)
    assert (total.billed_quantity, total.billed_event_count) == (901, 2)
    assert LateTotal.objects.get().pk == total.id
    assert_totals_hold()
    assert (accepted.status, accepted.decided_by, accepted.decided_at) == (
        "ACCEPTED", "somebody", NOW,
    )  # fmt: skip


def test_a_waived_event_keeps_its_key_and_is_nowhere_counted(seller, late):
    before = RunningTotal.objects.values().get()
    waive(late)
    assert account(seller) == {"counted": 2, "waived": 1}
    assert RunningTotal.objects.values().get() == before
    assert (UsageEvent.objects.count(), EventKey.objects.count()) == (2, 3)
    assert not LateTotal.objects.exists()
    seller.count(event(3, metricName="tokens", quantity=200, metadata={"a": "ö\t\\"}))
    assert outcomes() == {"counted": 2, "held": 1, "duplicates": 1}


def test_a_decision_is_made_once_and_audited_once(seller, late):
    assert accept(late).status == accept(late).status == "ACCEPTED"
    with pytest.raises(Conflict) as refusal:
        waive(late)
    assert refusal.value.code == "HELD_EVENT_DECIDED"
    assert "somebody" in refusal.value.detail
    assert UsageEvent.objects.count() == 3
    entry = AuditEntry.objects.get(action__startswith="HELD_EVENT")
    assert (entry.action, entry.reason, entry.actor_name) == (
        "HELD_EVENT_ACCEPTED", "it was ours to bill", "somebody",
    )  # fmt: skip
    assert entry.changes == {"status": {"before": "WAITING", "after": "ACCEPTED"}}


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_decision_needs_a_reason(seller, late, reason):
    for decide in (accept, waive):
        with pytest.raises(Refused):
            decide(late, reason)
    assert account(seller) == {"counted": 2, "held": 1}
    assert not AuditEntry.objects.filter(action__startswith="HELD_EVENT").exists()


@pytest.mark.parametrize(
    ("decide", "placed"), [(accept, {"counted": 2}), (waive, {"counted": 1, "waived": 1})]
)
def test_an_event_of_two_units_is_decided_as_one(seller, decide, placed):
    peak = BillableUnitFactory(tenant=seller.tenant, name="peak", aggregation="MAX")
    users = BillableUnitFactory(
        tenant=seller.tenant,
        name="users",
        aggregation="UNIQUE",
        event_field="user",
        source_metric="peak",
    )
    prices = {unit: {"model": "PER_UNIT", "rate": "0.3"} for unit in (peak, users)}
    version = RatePlanVersionFactory(tenant=seller.tenant, prices=prices, published=True)
    subscribe(seller.tenant, "cust_2", version)
    fields = {"customerId": "cust_2", "metricName": "peak"}
    seller.count(event(1, **fields, quantity=5, metadata={"user": "a"}))
    billed()
    seller.count(event(2, **fields, quantity=7, metadata={"user": "b"}))
    assert HeldEvent.objects.count() == 2
    decide(HeldEvent.objects.latest("id"))
    assert HeldEvent.objects.filter(status=Status.WAITING).count() == 0
    assert account(seller) == placed
    assert_totals_hold()


def test_thousands_are_decided_in_pieces_and_again_changes_nothing(seller, monkeypatch):
    monkeypatch.setattr("metering.services.held.AT_ONCE", 7)
    seller.count(event("first"))
    billed()
    seller.count(*(event(number) for number in range(40)))
    chosen = HeldEvent.objects.filter(idempotency_key__lt="key-2")
    assert decide_all(seller, Status.WAIVED, chosen) == 12
    assert decide_all(seller, Status.ACCEPTED) == 28
    assert decide_all(seller, Status.WAIVED) == 0
    assert account(seller) == {"counted": 29, "waived": 12}
    assert_totals_hold()


def test_nobody_decides_for_another_tenant(seller, late):
    other = type(seller)(RatePlanVersionFactory(published=True).tenant, None)
    assert decide_all(other, Status.ACCEPTED) == 0
    assert account(seller) == {"counted": 2, "held": 1}


def test_an_event_that_its_tenant_bills_anyway_is_appended(seller):
    seller.tenant.late_policy = "AUTO"
    seller.tenant.save()
    seller.count(event(1, metricName="tokens", quantity=900))
    billed()
    seller.count(event(2, metricName="tokens", quantity=200))
    total = the_total()
    assert (total.quantity, total.position, total.billed_position) == (1100, 2, 1)
    assert outcomes() == {"counted": 2}
    assert LateTotal.objects.get().subscription_id == total.subscription_id
    assert not HeldEvent.objects.exists()
    assert_totals_hold()


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_accept_an_event_once(seller):
    seller.count(event(1), event(2))
    billed()
    seller.count(event(3), event(4))
    first = HeldEvent.objects.earliest("id")

    def work(index):
        return accept(HeldEvent.objects.get(pk=first.pk)).status

    assert in_threads(8, work) == ["ACCEPTED"] * 8
    assert account(seller) == {"counted": 3, "held": 1}
    assert AuditEntry.objects.filter(action="HELD_EVENT_ACCEPTED").count() == 1
    assert_totals_hold()


@pytest.mark.django_db(transaction=True)
def test_those_who_accept_and_those_who_waive_do_not_both_win(seller):
    seller.count(event("first"))
    billed()
    seller.count(*(event(number) for number in range(30)))

    def work(index):
        return decide_all(seller, (Status.ACCEPTED, Status.WAIVED)[index % 2])

    assert sum(in_threads(8, work)) == 30
    found = account_of(seller.tenant.id)
    assert (found.counted + found.waived, found.held, found.balances) == (31, 0, True)
    assert_totals_hold()
