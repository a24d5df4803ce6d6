"""What time does: by each tenant's clock, as of when it was due, once."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.services.actors import Actor
from catalog.services.advancing import advance_all
from catalog.services.lifecycle import LEGAL
from catalog.services.subscription_keys import issue_subscription_key
from catalog.services.subscriptions import cancel_subscription
from catalog.tasks import advance_subscriptions
from metering.services.clocks import advance
from tests.factories import NOW, SandboxFactory, SubscriptionFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def phases(subscription):
    return [(row.state, row.started_at) for row in subscription.phases.all()]


def test_a_start_takes_effect_when_it_comes(sold):
    subscription = sold(start=utc(2026, 4, 1))
    assert advance_all(now=utc(2026, 3, 31, 23, 59)) == 0
    assert advance_all(now=utc(2026, 4, 1, 5)) == 1
    assert phases(subscription) == [("CREATED", NOW), ("ACTIVE", utc(2026, 4, 1))]


def test_an_end_is_told_of_a_month_before_and_then_comes(sold):
    subscription = sold(end=utc(2026, 8, 31))
    assert advance_all(now=utc(2026, 7, 31)) == 0
    assert advance_all(now=utc(2026, 8, 1)) == 1
    assert advance_all(now=utc(2026, 8, 2)) == 0
    assert advance_all(now=utc(2026, 9, 3)) == 1
    assert phases(subscription)[2:] == [
        ("EXPIRING_SOON", utc(2026, 8, 1)),
        ("EXPIRED", utc(2026, 8, 31)),
    ]


def test_what_was_cancelled_to_its_end_is_cancelled_there(sold, actor):
    subscription = sold()
    cancel_subscription(subscription=subscription, actor=actor, now=NOW, when="PERIOD_END")
    key, _ = issue_subscription_key(subscription=subscription, name="k", actor=actor, now=NOW)
    advance_all(now=utc(2026, 3, 20))
    assert phases(subscription)[-1] == ("EXPIRING_SOON", utc(2026, 3, 20))
    advance_all(now=utc(2026, 4, 1))
    assert phases(subscription)[-1] == ("CANCELLED", utc(2026, 4, 1))
    key.key.refresh_from_db()
    assert key.key.revoked_at == utc(2026, 4, 1)


def test_a_long_sleep_comes_through_all_states_in_order(sold, sell):
    subscription = sold(sell(trial_days=10), start=utc(2026, 4, 1), end=utc(2026, 6, 1))
    assert advance_all(now=utc(2027, 1, 1)) == 1
    assert phases(subscription) == [
        ("CREATED", NOW),
        ("TRIALING", utc(2026, 4, 1)),
        ("ACTIVE", utc(2026, 4, 11)),
        ("EXPIRED", utc(2026, 6, 1)),
    ]
    facts = OutboxMessage.objects.order_by("id").values_list("fact", flat=True)
    assert list(facts) == [
        "subscription.created",
        "subscription.trial_started",
        "subscription.activated",
        "subscription.expired",
    ]
    assert advance_all(now=utc(2027, 1, 1)) == 0


@pytest.mark.parametrize("state", ["ACTIVE", "PAST_DUE", "PAUSED", "EXPIRING_SOON", "SUSPENDED"])
def test_every_open_state_expires(tenant, state):
    subscription = SubscriptionFactory(tenant=tenant, state=state, end_at=utc(2026, 3, 10))
    assert advance_all(now=NOW) == 1
    subscription.refresh_from_db()
    assert subscription.state == "EXPIRED"
    assert "EXPIRED" in LEGAL[state]


def test_each_tenant_advances_by_its_own_clock():
    late = SubscriptionFactory(start_at=utc(2026, 5, 1), state="CREATED")
    sandbox = SandboxFactory(clock_frozen_at=utc(2026, 5, 2))
    ahead = SubscriptionFactory(tenant=sandbox, start_at=utc(2026, 5, 1), state="CREATED")
    assert advance_all(now=NOW) == 1
    late.refresh_from_db()
    ahead.refresh_from_db()
    assert (late.state, ahead.state) == ("CREATED", "ACTIVE")


@pytest.mark.parametrize("count", [1, 20])
def test_a_page_takes_a_constant_number_of_statements(tenant, django_assert_num_queries, count):
    for _ in range(count):
        SubscriptionFactory(tenant=tenant, end_at=utc(2026, 3, 10))
    with django_assert_num_queries(11):
        assert advance_all(now=NOW) == count


def test_nothing_due_is_one_statement(django_assert_num_queries):
    SubscriptionFactory()
    with django_assert_num_queries(1):
        assert advance_all(now=NOW) == 0


@time_machine.travel(NOW, tick=False)
def test_the_task_goes_by_the_clock_of_today(tenant):
    SubscriptionFactory(tenant=tenant, end_at=NOW - timedelta(days=1))
    assert advance_subscriptions() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_advance_once():
    subscription = SubscriptionFactory(end_at=utc(2026, 3, 10))
    assert sum(in_threads(8, lambda _: advance_all(now=NOW))) == 1
    assert subscription.phases.count() == 1


def test_a_sandbox_that_moves_its_clock_finds_it_done():
    sandbox = SandboxFactory(clock_frozen_at=NOW)
    subscription = SubscriptionFactory(tenant=sandbox, end_at=utc(2026, 6, 1), months=1)
    advance(tenant=sandbox, to=utc(2026, 6, 2), actor=Actor.system())
    subscription.refresh_from_db()
    assert subscription.state == "EXPIRED"
