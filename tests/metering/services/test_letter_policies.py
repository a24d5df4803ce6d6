"""Letters that nobody decides about expire by the tenant's policy; too many are told once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from aforo.errors import Conflict
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from metering.models import DeadLetter
from metering.services import letter_policies
from metering.services.letter_policies import expire_letters, tell_thresholds
from tests.factories import DeadLetterFactory, SandboxFactory, TenantFactory
from tests.metering.conftest import NOW
from tests.metering.letters import replay
from tests.threads import in_threads


def states(tenant):
    letters = DeadLetter.objects.for_tenant(tenant).order_by("last_seen_at")
    return list(letters.values_list("status", flat=True))


@pytest.fixture
def sandbox(db):
    return SandboxFactory(clock_frozen_at=NOW, dead_letter_days=30)


def test_letters_expire_after_so_many_days_without_being_seen(sandbox):
    for days in (31, 29, 0):
        DeadLetterFactory(
            tenant=sandbox,
            received_at=NOW - timedelta(days=99),
            last_seen_at=NOW - timedelta(days=days),
        )
    assert expire_letters(now=timezone.now()) == 1
    assert states(sandbox) == ["EXPIRED", "OPEN", "OPEN"]
    letter = DeadLetter.objects.get(status="EXPIRED")
    assert (letter.decided_at, letter.decided_by) == (NOW, "policy of the tenant")
    assert letter.reason == "open for 30 days"
    entry = AuditEntry.objects.get(action="DEAD_LETTERS_EXPIRED")
    assert entry.changes == {"letters": 1, "days": 30}
    with pytest.raises(Conflict, match="EXPIRED"):
        replay(letter)
    assert expire_letters(now=timezone.now()) == 0


def test_a_sandbox_expires_by_its_own_clock_and_a_live_tenant_by_everybodys(db):
    now = timezone.now()
    live = TenantFactory(dead_letter_days=1)
    sandbox = SandboxFactory(clock_frozen_at=now - timedelta(days=9), dead_letter_days=1)
    for tenant in (live, sandbox):
        DeadLetterFactory(tenant=tenant, last_seen_at=now - timedelta(days=9))
    assert expire_letters(now=now) == 1
    assert (states(live), states(sandbox)) == (["EXPIRED"], ["OPEN"])


def test_without_a_policy_letters_stay_open(db):
    letter = DeadLetterFactory(last_seen_at=NOW - timedelta(days=900))
    assert expire_letters(now=timezone.now()) == 0
    assert states(letter.tenant) == ["OPEN"]


def test_letters_expire_page_by_page(sandbox, monkeypatch):
    monkeypatch.setattr(letter_policies, "LETTERS_AT_A_TIME", 2)
    DeadLetterFactory.create_batch(5, tenant=sandbox, last_seen_at=NOW - timedelta(days=40))
    assert expire_letters(now=timezone.now()) == 5
    entries = AuditEntry.objects.filter(action="DEAD_LETTERS_EXPIRED").order_by("id")
    assert [entry.changes["letters"] for entry in entries] == [2, 2, 1]


def told(tenant):
    messages = OutboxMessage.objects.for_tenant(tenant).order_by("id")
    return [(message.fact, message.payload) for message in messages]


REACHED = ("dead_letter.threshold_reached", {"threshold": 3})


def test_a_threshold_is_told_once_and_again_after_it_was_below(db):
    tenant = TenantFactory(dead_letter_threshold=3)
    DeadLetterFactory.create_batch(2, tenant=tenant)
    assert tell_thresholds(now=NOW) == 0
    DeadLetterFactory.create_batch(5, tenant=tenant)
    assert tell_thresholds(now=NOW) == 1
    assert tell_thresholds(now=NOW) == 0
    assert told(tenant) == [REACHED]
    DeadLetter.objects.update(status="DISCARDED")
    assert tell_thresholds(now=NOW) == 0
    DeadLetterFactory.create_batch(3, tenant=tenant)
    assert tell_thresholds(now=NOW) == 1
    assert told(tenant) == [REACHED, REACHED]


def test_without_a_threshold_nothing_is_told_and_others_letters_do_not_count(db):
    DeadLetterFactory.create_batch(5)
    tenant = TenantFactory(dead_letter_threshold=1)
    assert tell_thresholds(now=NOW) == 0
    tenant.dead_letter_threshold = None
    tenant.save()
    DeadLetterFactory(tenant=tenant)
    assert tell_thresholds(now=NOW) == 0


def test_a_threshold_that_is_taken_away_is_armed_when_it_comes_back(db):
    tenant = TenantFactory(dead_letter_threshold=1)
    DeadLetterFactory(tenant=tenant)
    assert tell_thresholds(now=NOW) == 1
    for threshold, count in ((None, 0), (1, 1)):
        tenant.dead_letter_threshold = threshold
        tenant.save()
        assert tell_thresholds(now=NOW) == count


@pytest.mark.django_db(transaction=True)
def test_eight_who_look_tell_it_once():
    tenant = TenantFactory(dead_letter_threshold=2)
    DeadLetterFactory.create_batch(2, tenant=tenant)
    assert sum(in_threads(8, lambda _: tell_thresholds(now=NOW))) == 1
    assert told(tenant) == [("dead_letter.threshold_reached", {"threshold": 2})]


def test_a_look_costs_the_same_for_any_number_of_tenants(db, django_assert_num_queries):
    for _ in range(5):
        tenant = TenantFactory(dead_letter_threshold=100)
    DeadLetterFactory.create_batch(3, tenant=tenant)
    with django_assert_num_queries(4):  # a savepoint, re-arm, raise
        tell_thresholds(now=NOW)
