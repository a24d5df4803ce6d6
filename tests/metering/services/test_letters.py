"""One dead letter: edited, replayed, discarded; each once, whole and on the record."""

from datetime import timedelta

import msgspec
import pytest

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from catalog import aliases
from catalog.models import CustomerAlias
from metering.ingest import enrichment, events
from metering.models import DeadLetter, EventKey, InboxBatch, Receipt, UsageEvent
from tests.factories import CustomerAliasFactory, CustomerFactory, DeadLetterFactory
from tests.metering.conftest import NOW, catalog_changed, subscribe
from tests.metering.events import codes, event, outcomes, rows, stored_events, the_total
from tests.metering.ledger import assert_totals_hold
from tests.metering.letters import (
    assert_balanced,
    define,
    discard,
    edit,
    replay,
    stored,
    the_letter,
)
from tests.threads import in_threads


def test_a_replayed_event_counts_once_its_cause_is_mended(seller):
    seller.count(event(customerId="cust_2"))
    letter = the_letter(code="UNKNOWN_CUSTOMER", customer="cust_2")
    subscribe(seller.tenant, "cust_2")
    replayed = replay(letter, reason="they signed up")
    assert_balanced(seller.tenant, received=1)
    seller.drain()
    (row,) = rows()
    assert (row.source, row.batch_id) == ("REPLAY", replayed.replay_batch_id)
    assert (row.idempotency_key, row.received_at) == ("key-0", NOW)
    assert (replayed.status, replayed.decided_by) == ("REPLAYED", "an operator")
    assert (replayed.decided_at, replayed.reason) == (NOW, "they signed up")
    account = assert_balanced(seller.tenant, received=1)
    assert (account.counted, account.dead) == (1, 0)
    assert_totals_hold()


def test_replaying_twice_counts_once(seller):
    seller.count(event(customerId="cust_2"))
    letter = the_letter()
    subscribe(seller.tenant, "cust_2")
    first, second = replay(letter), replay(letter)
    assert first.replay_batch_id == second.replay_batch_id
    seller.drain()
    assert replay(letter).replay_batch_id == first.replay_batch_id
    assert seller.drain() == 0
    assert the_total().event_count == 1
    assert AuditEntry.objects.filter(action="DEAD_LETTER_REPLAYED").count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_who_replay_one_letter_send_it_once(seller):
    seller.count(event(customerId="cust_2"))
    letter = the_letter()
    subscribe(seller.tenant, "cust_2")
    in_threads(8, lambda _: replay(DeadLetter.objects.get(pk=letter.pk)))
    assert InboxBatch.objects.count() == 1
    seller.drain()
    assert the_total().event_count == 1
    assert_balanced(seller.tenant, received=1)


def test_a_replay_before_the_cause_is_mended_makes_a_new_letter(seller):
    seller.count(event(customerId="cust_2"))
    first = replay(the_letter())
    seller.drain()
    second = the_letter()
    assert second.pk != first.pk
    assert (second.batch_id, second.source) == (first.replay_batch_id, first.source)
    assert stored(second) == stored(first)
    assert EventKey.objects.count() == 0
    subscribe(seller.tenant, "cust_2")
    replay(second)
    seller.drain()
    assert the_total().event_count == 1
    assert_balanced(seller.tenant, received=1)


def test_a_letter_of_three_events_with_one_key_counts_once(seller):
    for _ in range(3):
        seller.count(event(customerId="cust_2"))
    letter = the_letter()
    assert letter.occurrences == 3
    subscribe(seller.tenant, "cust_2")
    replay(letter)
    seller.drain()
    account = assert_balanced(seller.tenant, received=3)
    assert (account.counted, account.duplicates) == (1, 2)


def test_a_letter_of_three_events_without_key_counts_three(seller):
    promised = []
    for _ in range(3):
        answer = seller.count(event(customerId="cust_2", idempotencyKey=...))
        promised.append(answer.json()["idempotencyKeys"]["0"])
    subscribe(seller.tenant, "cust_2")
    replay(the_letter())
    seller.drain()
    assert assert_balanced(seller.tenant, received=3).counted == 3
    assert promised[0] in {row.idempotency_key for row in rows()}


def test_the_key_that_was_promised_is_a_duplicate_after_the_replay(seller):
    answer = seller.count(event(customerId="cust_2", idempotencyKey=..., occurredAt=...))
    promised = answer.json()["idempotencyKeys"]["0"]
    letter = the_letter()
    assert promised == events.made_key(letter.batch_id, letter.batch_index)
    subscribe(seller.tenant, "cust_2")
    replay(letter)
    seller.drain()
    again = seller.count(event(customerId="cust_2", idempotencyKey=promised, occurredAt=...))
    assert outcomes(again) == {"duplicates": 1}
    assert [row.idempotency_key for row in rows()] == [promised]


def test_the_promise_outlives_a_replay_that_failed(seller):
    answer = seller.count(event(customerId="cust_2", idempotencyKey=...))
    replay(the_letter())
    seller.drain()
    subscribe(seller.tenant, "cust_2")
    replay(the_letter())
    seller.drain()
    assert [row.idempotency_key for row in rows()] == [answer.json()["idempotencyKeys"]["0"]]


def move_clock(seller, **delta):
    """The seller's sandbox that much later."""
    tenant = seller.tenant
    tenant.clock_frozen_at += timedelta(**delta)
    tenant.save(update_fields=["clock_frozen_at"])
    return tenant.clock_frozen_at


def test_age_and_lateness_are_judged_by_the_first_arrival(seller):
    occurred = NOW - timedelta(days=13)
    seller.count(
        event(1, metricName="gpu", occurredAt=occurred),
        event(2, metricName="gpu", occurredAt=NOW - timedelta(hours=2)),
        event(3, metricName="gpu", occurredAt=...),
    )
    version_of_gpu(seller)
    move_clock(seller, days=89)
    for letter in DeadLetter.objects.filter(status="OPEN"):
        replay(letter)
    seller.drain()
    assert outcomes() == {"dead": 3, "unbilled": 3}
    found = {row.idempotency_key: row for row in UsageEvent.objects.all()}
    assert found["key-1"].late is True
    assert found["key-2"].late is False
    assert (found["key-3"].late, found["key-3"].occurred_at) == (False, NOW)
    assert {row.received_at for row in found.values()} == {NOW}


def version_of_gpu(seller):
    define(seller.tenant, "gpu")


def test_an_event_that_was_too_old_stays_too_old_until_it_is_edited(seller):
    seller.count(event(occurredAt=NOW - timedelta(days=91)))
    replay(the_letter(code="TIMESTAMP_TOO_OLD"))
    seller.drain()
    edit(the_letter(code="TIMESTAMP_TOO_OLD"), event(occurredAt=NOW - timedelta(days=1)))
    replay(the_letter())
    seller.drain()
    assert assert_balanced(seller.tenant, received=1).counted == 1


def test_an_edit_is_sent_and_the_original_stays(seller):
    seller.count(event(quantity=-1, region="eu"))
    letter = the_letter(code="INVALID_QUANTITY")
    edited = edit(letter, event(quantity=2, region="eu"), reason="a typo")
    assert stored(edited)["quantity"] == -1
    mended = msgspec.json.decode(bytes(edited.edited))
    assert mended == event(quantity=2, metadata={"region": "eu"})
    entry = AuditEntry.objects.get(action="DEAD_LETTER_EDITED")
    assert (entry.actor_name, entry.reason) == ("an operator", "a typo")
    assert '"quantity":-1' in entry.changes["event"]["before"]
    replay(edited)
    seller.drain()
    (row,) = rows()
    assert row.metadata == '{"region":"eu"}'
    assert assert_balanced(seller.tenant, received=1).counted == 1


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (event(quantity=-1), "INVALID_QUANTITY"),
        (event(quantity="many"), "INVALID_EVENT"),
        (event(customerId=...), "INVALID_EVENT"),
        (event(occurredAt="2025-01-01T00:00:00Z"), "TIMESTAMP_TOO_OLD"),
        (event(occurredAt="2026-03-15T12:06:00Z"), "TIMESTAMP_IN_FUTURE"),
        (event(customerId="alias:" + "0" * 64), "INVALID_EVENT"),
        (b"not json", "INVALID_EVENT"),
        (b"[1]", "INVALID_EVENT"),
    ],
)
def test_an_edit_that_the_door_would_refuse_is_refused(seller, wrong, code):
    letter = DeadLetterFactory(tenant=seller.tenant)
    with pytest.raises(Refused) as refused:
        edit(letter, wrong)
    assert refused.value.code == code
    assert refused.value.errors[0].field == "event"
    letter.refresh_from_db()
    assert letter.edited is None
    assert not AuditEntry.objects.exists()


def test_credentials_are_cut_from_an_edit(seller):
    letter = DeadLetterFactory(tenant=seller.tenant)
    edited = edit(letter, event(metadata={"apiKey": "sk_live_secret"}))
    assert b"secret" not in bytes(edited.edited)


def test_a_stand_in_of_a_secret_name_passes_in_a_replay_alone(seller):
    secret = "sk_live_of_a_customer"
    refused = seller.count(event(customerId=secret, metricName="gpu"))
    assert refused.status_code == 422
    letter = the_letter()
    stand_in = stored(letter)["customerId"]
    assert aliases.digest_in(stand_in) == aliases.digest_of(seller.tenant.pk, secret)
    assert seller.send(event(1, customerId=stand_in)).json()["errors"][0]["code"] == "INVALID_EVENT"
    customer = subscribe(seller.tenant, "cust_2").customer
    CustomerAlias.objects.all().delete()
    CustomerAliasFactory(customer=customer, label=secret)
    catalog_changed(seller.tenant)
    edit(letter, stored(letter) | {"metricName": "calls"})
    replay(letter)
    seller.drain()
    assert [row.customer_id for row in rows()] == [customer.pk]


def test_a_poisoned_event_counts_once_what_broke_is_mended(seller, monkeypatch):
    attach = enrichment.TenantContracts.targets

    def broken(self, arrival):
        if arrival.key == "key-3":
            raise ValueError("a bug")
        return attach(self, arrival)

    with monkeypatch.context() as patched:
        patched.setattr(enrichment.TenantContracts, "targets", broken)
        seller.count(*(event(number) for number in range(7)))
    assert outcomes() == {"counted": 6, "dead": 1}
    replay(the_letter(code="UNPROCESSABLE"))
    seller.drain()
    assert the_total().event_count == 7
    assert assert_balanced(seller.tenant, received=7).dead == 0


def test_a_conflict_counts_under_a_key_of_its_own(seller):
    seller.count(event(), event(quantity=2))
    letter = the_letter(code="IDEMPOTENCY_CONFLICT")
    edit(letter, event(9, quantity=2))
    replay(letter)
    seller.drain()
    assert the_total().event_count == 2
    assert codes() == ["IDEMPOTENCY_CONFLICT"]


def test_a_discarded_letter_stays_accounted_for_and_is_decided(seller):
    seller.count(event(customerId="cust_2"))
    letter = the_letter()
    discarded = discard(letter, reason="a test of theirs")
    assert (discarded.status, discarded.reason) == ("DISCARDED", "a test of theirs")
    assert discard(letter).reason == "a test of theirs"
    for verb in (replay, lambda one: edit(one, event())):
        with pytest.raises(Conflict, match="is DISCARDED"):
            verb(letter)
    assert assert_balanced(seller.tenant, received=1).dead == 1
    assert AuditEntry.objects.filter(action="DEAD_LETTER_DISCARDED").count() == 1


def test_a_replayed_letter_cannot_be_discarded(seller):
    letter = replay(DeadLetterFactory(tenant=seller.tenant))
    with pytest.raises(Conflict):
        discard(letter)


@pytest.mark.parametrize("reason", ["", "  "])
def test_nothing_is_discarded_without_a_reason(seller, reason):
    letter = DeadLetterFactory(tenant=seller.tenant)
    with pytest.raises(Refused) as refused:
        discard(letter, reason=reason)
    assert refused.value.errors[0].field == "reason"
    letter.refresh_from_db()
    assert letter.status == "OPEN"


def test_what_cannot_be_opened_cannot_be_replayed(seller):
    letter = DeadLetterFactory(tenant=seller.tenant, code="UNREADABLE_BATCH", event=b"\x04\x22")
    for verb in (replay, lambda one: edit(one, event())):
        with pytest.raises(Refused) as refused:
            verb(letter)
        assert refused.value.code == "NOT_REPLAYABLE"
    assert discard(letter).status == "DISCARDED"


def test_a_letter_of_many_events_travels_in_several_batches(seller, monkeypatch):
    monkeypatch.setattr(events, "MAX_EVENTS", 4)
    letter = DeadLetterFactory(tenant=seller.tenant, occurrences=10)
    CustomerFactory(tenant=seller.tenant, external_id="else")
    replayed = replay(letter)
    sent = list(InboxBatch.objects.order_by("id"))
    assert [row.event_count for row in sent] == [4, 4, 2]
    assert replayed.replay_batch_id == sent[0].batch_id
    assert all(stored_events(row) == [stored(letter)] * row.event_count for row in sent)
    assert Receipt.objects.count() == 0
