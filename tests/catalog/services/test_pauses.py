"""While a subscription is paused it has no period: nothing is counted, nothing is owed."""

from datetime import UTC, datetime, timedelta

import pytest

from aforo.errors import Conflict
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from catalog.models import Subscription
from catalog.services.pauses import pause_subscription, resume_subscription
from catalog.services.periods import extend_all_periods
from catalog.services.suspensions import reinstate_subscription
from tests.factories import NOW, SubscriptionFactory
from tests.threads import in_threads


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.fixture
def pause(actor):
    def pause(subscription, now=NOW, **fields):
        return pause_subscription(subscription=subscription, actor=actor, now=now, **fields)

    return pause


@pytest.fixture
def resume(actor):
    def resume(subscription, now, **fields):
        return resume_subscription(subscription=subscription, actor=actor, now=now, **fields)

    return resume


def test_a_pause_cuts_the_period_and_takes_later_ones_back(sold, pause):
    subscription = sold()
    paused = pause(subscription, reason="on leave")
    assert paused.state == "PAUSED"
    (period,) = subscription.periods.all()
    assert (period.end_at, period.whole_end_at) == (NOW, utc(2026, 4, 1))
    assert extend_all_periods(now=NOW) == 0
    assert AuditEntry.objects.get(action="SUBSCRIPTION_PAUSED").reason == "on leave"
    assert pause(subscription).state == "PAUSED"
    assert OutboxMessage.objects.filter(fact="subscription.paused").count() == 1


def test_a_resume_begins_a_part_of_the_period_that_would_run(sold, pause, resume):
    subscription = sold()
    pause(subscription)
    later = utc(2026, 5, 11)
    assert resume(subscription, later).state == "ACTIVE"
    _, part, following = subscription.periods.all()[:3]
    assert (part.whole_start_at, part.start_at, part.end_at) == (
        utc(2026, 5, 1),
        later,
        utc(2026, 6, 1),
    )
    assert following.start_at == utc(2026, 6, 1)
    assert resume(subscription, later).state == "ACTIVE"
    assert OutboxMessage.objects.filter(fact="subscription.resumed").count() == 1


def test_a_pause_and_a_resume_of_one_instant_leave_no_gap(sold, pause, resume):
    subscription = sold(start=NOW)
    pause(subscription)
    resume(subscription, NOW)
    first, second = subscription.periods.all()[:2]
    assert first.end_at == second.start_at == NOW + timedelta(microseconds=1)


def test_a_paused_trial_is_over(sold, sell, pause, resume):
    subscription = sold(sell(trial_days=30))
    paused = pause(subscription)
    assert paused.trial_end_at == NOW
    resume(subscription, utc(2026, 3, 20))
    kinds = [(row.kind, row.start_at) for row in subscription.periods.all()[:2]]
    assert kinds == [("TRIAL", utc(2026, 3, 1)), ("REGULAR", utc(2026, 3, 20))]


def test_the_last_minutes_before_a_turn_take_no_pause(sold, pause):
    subscription = sold()
    with pytest.raises(Conflict) as refusal:
        pause(subscription, now=utc(2026, 3, 31, 23, 55))
    assert refusal.value.code == "PERIOD_TURNS"
    assert subscription.periods.count() > 1


@pytest.mark.parametrize("state", ["PAST_DUE", "SUSPENDED", "EXPIRING_SOON", "CANCELLED"])
def test_only_what_is_active_or_in_trial_is_paused(tenant, pause, state):
    with pytest.raises(Conflict):
        pause(SubscriptionFactory(tenant=tenant, state=state, months=2))


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_pause_and_resume(sold, actor):
    subscription = sold()
    in_threads(
        8, lambda _: pause_subscription(subscription=subscription, actor=actor, now=NOW).state
    )
    later = utc(2026, 3, 20)
    in_threads(
        8, lambda _: resume_subscription(subscription=subscription, actor=actor, now=later).state
    )
    assert [row.start_at for row in subscription.periods.all()][:3] == [
        utc(2026, 3, 1),
        later,
        utc(2026, 4, 1),
    ]
    assert [row.state for row in subscription.phases.all()] == [
        "CREATED",
        "ACTIVE",
        "PAUSED",
        "ACTIVE",
    ]


def test_who_saw_it_running_before_it_was_paused_does_not_reinstate_it(sold, actor):
    subscription = sold()
    stale = Subscription.objects.get(pk=subscription.pk)
    pause_subscription(subscription=subscription, actor=actor, now=NOW)
    with pytest.raises(Conflict) as refusal:
        reinstate_subscription(subscription=stale, actor=actor, now=NOW)
    assert refusal.value.code == "ILLEGAL_TRANSITION"
    assert Subscription.objects.get(pk=subscription.pk).state == "PAUSED"
