"""Many letters decided at once: in pages, each once, whoever carries it out and whatever breaks."""

from datetime import timedelta

import pytest

from aforo.errors import Refused
from aforo.tenancy.models import AuditEntry
from metering.models import DeadLetter, InboxBatch, LetterDecision
from metering.selectors.letters import Chosen, open_letters
from metering.services import letter_decisions, replays
from tests.factories import DeadLetterFactory, LetterDecisionFactory, TenantFactory
from tests.metering.conftest import NOW
from tests.metering.events import event, inbox, outcomes, stored_events
from tests.metering.ledger import assert_totals_hold
from tests.metering.letters import ACTOR, assert_balanced, define
from tests.threads import in_threads

GPU = Chosen(code="UNKNOWN_METRIC", metric="gpu")


def decide(tenant, chosen=GPU, act="REPLAY", **more):
    return letter_decisions.decide_now(
        tenant=tenant, act=act, chosen=chosen, actor=ACTOR, now=NOW, **more
    )


def states():
    return sorted(DeadLetter.objects.values_list("status", flat=True))


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(letter_decisions, "LETTERS_AT_A_TIME", 3)


def test_letters_of_one_request_travel_in_one_batch(seller):
    seller.count(*(event(number, metricName="gpu") for number in range(20)), event(99))
    define(seller.tenant, "gpu")
    decision = decide(seller.tenant, reason="the unit is there now")
    assert (decision.letters, decision.events, decision.batches) == (20, 20, 1)
    assert decision.finished_at == NOW
    (row,) = inbox()
    assert (row.source, row.received_at) == ("REPLAY", NOW)
    assert len(stored_events(row)) == 20
    seller.drain()
    assert outcomes() == {"counted": 1, "dead": 20, "unbilled": 20}
    assert assert_balanced(seller.tenant, received=21).dead == 0
    assert states() == ["REPLAYED"] * 20
    entry = AuditEntry.objects.get(action="DEAD_LETTERS_REPLAYED")
    assert entry.target_id == str(decision.pk)
    assert entry.changes == {"chosen": {"code": "UNKNOWN_METRIC", "metric": "gpu"}}


def test_a_decision_goes_page_by_page_and_the_rest_is_asked_for(seller, small_pages, queued):
    DeadLetterFactory.create_batch(10, tenant=seller.tenant)
    decision = decide(seller.tenant)
    assert (decision.letters, decision.finished_at) == (6, None)
    assert queued == ["metering.carry_out_letter_decisions"]
    assert letter_decisions.carry_out_all(now=NOW + timedelta(minutes=1)) == 2
    decision.refresh_from_db()
    assert (decision.letters, decision.events) == (10, 10)
    assert decision.finished_at == NOW + timedelta(minutes=1)
    assert states() == ["REPLAYED"] * 10
    assert letter_decisions.carry_out_all(now=NOW) == 0


@pytest.fixture
def queued(monkeypatch):
    """The names of the tasks that were asked for."""
    names = []
    monkeypatch.setattr(letter_decisions, "enqueue", names.append)
    return names


def test_a_page_that_fails_leaves_nothing_behind(seller, small_pages, monkeypatch):
    DeadLetterFactory.create_batch(5, tenant=seller.tenant)
    decision = LetterDecisionFactory(tenant=seller.tenant)
    assert letter_decisions.carry_out(decision.pk, now=NOW)

    def fails(*_):
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(replays, "hot_cursor", fails)
        with pytest.raises(RuntimeError):
            letter_decisions.carry_out(decision.pk, now=NOW)
    assert states() == ["OPEN"] * 2 + ["REPLAYED"] * 3
    assert InboxBatch.objects.count() == 1
    letter_decisions.carry_out_all(now=NOW)
    assert states() == ["REPLAYED"] * 5


@pytest.mark.django_db(transaction=True)
def test_eight_workers_carry_out_a_decision_once(seller, small_pages):
    DeadLetterFactory.create_batch(30, tenant=seller.tenant)
    LetterDecisionFactory.create_batch(2, tenant=seller.tenant)
    in_threads(8, lambda _: letter_decisions.carry_out_all(now=NOW))
    letter_decisions.carry_out_all(now=NOW)
    assert states() == ["REPLAYED"] * 30
    assert sum(row.event_count for row in inbox()) == 30
    assert sum(LetterDecision.objects.values_list("letters", flat=True)) == 30
    assert not LetterDecision.objects.filter(finished_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_replays_and_drains_that_count_the_same_letters_up_lose_nothing(seller):
    """Letters are counted up, replayed, and refused again, by eight at once."""
    received = 0
    for _ in range(5):
        seller.send(*(event(number, metricName="gpu") for number in range(40)))
        received += 40
    seller.drain(limit=40)

    def act(index):
        if index % 2:
            seller.drain(limit=40)
        else:
            decide(seller.tenant)

    for _ in range(3):
        in_threads(8, act)
        assert_balanced(seller.tenant, received=received)
    define(seller.tenant, "gpu")
    decide(seller.tenant)
    seller.drain()
    decide(seller.tenant)
    seller.drain()
    account = assert_balanced(seller.tenant, received=received)
    assert (account.unbilled, account.duplicates, account.dead) == (40, 160, 0)
    assert_totals_hold()


def test_what_comes_after_the_decision_is_not_part_of_it(seller):
    DeadLetterFactory(tenant=seller.tenant)
    decision = LetterDecisionFactory(tenant=seller.tenant)
    DeadLetterFactory(tenant=seller.tenant)
    letter_decisions.carry_out_all(now=NOW)
    decision.refresh_from_db()
    assert decision.letters == 1
    assert states() == ["OPEN", "REPLAYED"]


def test_many_are_discarded_with_one_reason(seller):
    DeadLetterFactory.create_batch(3, tenant=seller.tenant, occurrences=2)
    kept = DeadLetterFactory(tenant=seller.tenant, metric="tpu")
    decision = decide(seller.tenant, act="DISCARD", reason="load test")
    assert (decision.letters, decision.events, decision.batches) == (3, 6, 0)
    assert states() == ["DISCARDED"] * 3 + ["OPEN"]
    kept.refresh_from_db()
    assert kept.status == "OPEN"
    discarded = DeadLetter.objects.filter(status="DISCARDED").first()
    assert (discarded.reason, discarded.decided_by) == ("load test", "an operator")
    assert inbox() == []


@pytest.mark.parametrize(
    ("act", "chosen", "reason", "field"),
    [
        ("REPLAY", Chosen(), "", "ids"),
        ("DISCARD", Chosen(), "all of it", "ids"),
        ("DISCARD", GPU, " ", "reason"),
    ],
)
def test_a_decision_about_nothing_or_without_reason_is_refused(seller, act, chosen, reason, field):
    DeadLetterFactory(tenant=seller.tenant)
    with pytest.raises(Refused) as refused:
        decide(seller.tenant, chosen, act, reason=reason)
    assert refused.value.errors[0].field == field
    assert not LetterDecision.objects.exists()
    assert states() == ["OPEN"]


def test_letters_that_hold_no_event_are_refused_or_left_out(seller):
    DeadLetterFactory(tenant=seller.tenant, code="UNREADABLE_BATCH", source="API")
    DeadLetterFactory(tenant=seller.tenant, source="API")
    with pytest.raises(Refused) as refused:
        decide(seller.tenant, Chosen(code="UNREADABLE_BATCH"))
    assert refused.value.code == "NOT_REPLAYABLE"
    assert decide(seller.tenant, Chosen(source="API")).letters == 1
    assert decide(seller.tenant, Chosen(source="API"), "DISCARD", reason="gone").letters == 1


def test_one_letter_of_very_many_events_travels_alone(seller, monkeypatch):
    monkeypatch.setattr(letter_decisions, "EVENTS_AT_A_TIME", 10)
    for count in (4, 50, 6, 5):
        DeadLetterFactory(tenant=seller.tenant, occurrences=count)
    decision = LetterDecisionFactory(tenant=seller.tenant)
    events = []
    while letter_decisions.carry_out(decision.pk, now=NOW):
        decision.refresh_from_db()
        events.append(decision.events)
    assert events == [4, 54, 60, 65]


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"code": "UNKNOWN_CUSTOMER"}, {"b"}),
        ({"metric": "gpu"}, {"a", "c"}),
        ({"customer": "else"}, {"b"}),
        ({"source": "FILE"}, {"c"}),
        ({"received_from": NOW}, {"a", "b"}),
        ({"received_until": NOW}, {"c"}),
        ({"metric": "gpu", "source": "API"}, {"a"}),
    ],
)
def test_a_filter_means_the_letters_that_meet_all_of_it(db, chosen, found):
    tenant = TenantFactory()
    DeadLetterFactory(detail="theirs")
    DeadLetterFactory(tenant=tenant, detail="closed", status="REPLAYED")
    DeadLetterFactory(tenant=tenant, detail="a")
    DeadLetterFactory(
        tenant=tenant, detail="b", code="UNKNOWN_CUSTOMER", metric="calls", customer="else"
    )
    DeadLetterFactory(
        tenant=tenant, detail="c", source="FILE", received_at=NOW - timedelta(hours=1)
    )
    chosen = Chosen(**chosen)
    assert Chosen.of_json(chosen.as_json()) == chosen
    assert {letter.detail for letter in open_letters(tenant.pk, chosen)} == found


def test_ids_name_only_the_tenants_own(db):
    theirs, ours = DeadLetterFactory(), DeadLetterFactory()
    chosen = Chosen(ids=(theirs.pk, ours.pk))
    assert Chosen.of_json(chosen.as_json()) == chosen
    assert list(open_letters(ours.tenant_id, chosen)) == [ours]
