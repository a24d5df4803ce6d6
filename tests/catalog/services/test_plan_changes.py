"""Another offering, or another version: from when, for which periods, on record."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aforo.errors import Conflict, NotFound, Refused
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from catalog.models import Subscription
from catalog.services.advancing import advance_all
from catalog.services.plan_changes import change_offering, move_to_version, plans_at
from tests.factories import NOW, OfferingFactory, RatePlanVersionFactory, SubscriptionFactory
from tests.threads import in_threads


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.fixture
def change(actor):
    def change(subscription, offering, **fields):
        fields = {"now": NOW, "reason": "grows", **fields}
        return change_offering(subscription=subscription, offering=offering, actor=actor, **fields)

    return change


def spans(subscription):
    return [(row.start_at, row.end_at) for row in subscription.periods.all()[:2]]


def names(subscription, moment):
    return [str(plan.version.rate_plan) for plan in plans_at(subscription, moment)]


def test_a_change_now_cuts_the_period_into_parts_of_the_whole(sold, sell, change):
    subscription = sold()
    (old,) = names(subscription, NOW)
    target = sell()
    (new,) = [str(plan) for plan in target.plans.all()]
    changed = change(subscription, target, fact="subscription.upgraded")

    assert changed.effective_at == NOW
    first, second, following = subscription.periods.all()[:3]
    assert [(row.start_at, row.end_at) for row in (first, second)] == [
        (utc(2026, 3, 1), NOW),
        (NOW, utc(2026, 4, 1)),
    ]
    assert first.seconds + second.seconds == first.whole_seconds == second.whole_seconds
    assert first.days("UTC") + second.days("UTC") == second.whole_days("UTC") == 31
    assert following.start_at == utc(2026, 4, 1)
    assert names(subscription, first.start_at) == [old]
    assert names(subscription, second.start_at) == [new]
    assert names(subscription, following.start_at) == [new]
    subscription.refresh_from_db()
    assert subscription.offering == target
    assert [row.state for row in subscription.phases.all()] == ["CREATED", "ACTIVE", "ACTIVE"]
    assert OutboxMessage.objects.filter(fact="subscription.upgraded").count() == 1
    assert AuditEntry.objects.get(action="SUBSCRIPTION_OFFERING_CHANGED").reason == "grows"


def test_without_proration_both_parts_are_whole(sold, sell, change):
    subscription = sold(start=utc(2026, 3, 5), anchor_day=1)
    change(subscription, sell(), prorate=False)
    for part in subscription.periods.all()[:2]:
        assert part.seconds == part.whole_seconds
    assert spans(subscription) == [(utc(2026, 3, 5), NOW), (NOW, utc(2026, 4, 1))]


def test_a_part_is_not_made_whole_again(sold, sell, change):
    """Its events were priced with a share of the included units."""
    subscription = sold()
    change(subscription, sell())
    later = NOW + timedelta(days=1)
    with pytest.raises(Conflict) as refusal:
        change(subscription, sell(), prorate=False, now=later)
    assert refusal.value.code == "PERIOD_IS_A_PART"
    assert spans(subscription)[1] == (NOW, utc(2026, 4, 1))
    change(subscription, sell(), now=later)
    assert spans(subscription)[1] == (NOW, later)


def test_a_change_at_the_end_of_the_period_cuts_nothing(sold, sell, change):
    subscription = sold()
    (old,) = names(subscription, NOW)
    target = sell()
    (new,) = [str(plan) for plan in target.plans.all()]
    changed = change(subscription, target, when="PERIOD_END")

    assert changed.effective_at == utc(2026, 4, 1)
    assert spans(subscription)[0] == (utc(2026, 3, 1), utc(2026, 4, 1))
    assert names(subscription, utc(2026, 3, 1)) == [old]
    assert names(subscription, utc(2026, 4, 1)) == [new]
    subscription.refresh_from_db()
    assert subscription.offering != target
    assert advance_all(now=utc(2026, 3, 31)) == 0
    assert advance_all(now=utc(2026, 4, 1)) == 1
    subscription.refresh_from_db()
    assert (subscription.offering, subscription.next_offering_at) == (target, None)
    assert subscription.phases.last().offering == target
    assert advance_all(now=utc(2026, 4, 1)) == 0


def test_a_later_change_takes_the_place_of_a_planned_one(sold, sell, change):
    subscription = sold()
    change(subscription, sell(), when="PERIOD_END")
    last = sell()
    change(subscription, last)
    subscription.refresh_from_db()
    assert (subscription.offering, subscription.next_offering) == (last, None)
    expected = [str(plan) for plan in last.plans.all()]
    assert names(subscription, NOW) == names(subscription, utc(2026, 4, 1)) == expected


def test_changes_of_one_instant_follow_each_other(sold, sell, change):
    subscription = sold(start=NOW)
    for _ in range(3):
        change(subscription, sell())
    starts = [row.start_at - NOW for row in subscription.periods.all()[:4]]
    assert starts == [timedelta(microseconds=number) for number in range(4)]
    assert all(len(names(subscription, NOW + start)) == 1 for start in starts)


def test_back_and_forth_is_on_record(sold, sell, change):
    first = sell()
    subscription = sold(first)
    change(subscription, sell())
    change(subscription, first, now=NOW + timedelta(days=1))
    assert subscription.plans.count() == 3
    assert len(plans_at(subscription, NOW + timedelta(days=2))) == 1


def test_one_that_has_not_begun_begins_with_the_new_plans(sold, sell, change):
    subscription = sold(start=utc(2026, 4, 1))
    target = sell()
    changed = change(subscription, target)
    assert changed.effective_at == utc(2026, 4, 1)
    assert subscription.plans.count() == 1
    assert names(subscription, utc(2026, 4, 1)) == [str(plan) for plan in target.plans.all()]


def test_a_trial_keeps_its_remaining_days(sold, sell, change):
    subscription = sold(sell(trial_days=30))
    change(subscription, sell())
    subscription.refresh_from_db()
    assert (subscription.state, subscription.trial_end_at) == ("TRIALING", utc(2026, 3, 31))
    kinds = [(row.kind, row.end_at) for row in subscription.periods.all()[:3]]
    assert kinds == [
        ("TRIAL", NOW),
        ("TRIAL", utc(2026, 3, 31)),
        ("REGULAR", utc(2026, 4, 30)),
    ]


def test_unused_fees_are_those_paid_in_advance(sold, sell, change):
    in_arrears, in_advance = sold(), sold(sell(base_fee_timing="ADVANCE"))
    now = utc(2026, 3, 11)
    assert change(in_arrears, sell(), now=now).unused_fees.amount == 0
    assert str(change(in_advance, sell(), now=now).unused_fees.amount) == "21.00"
    by_days = sold(sell(base_fee_timing="ADVANCE", proration="DAY"))
    later = utc(2026, 3, 11, 18)
    assert str(change(by_days, sell(), now=later).unused_fees.amount) == "21.00"


def test_the_last_minutes_before_a_turn_take_no_change(sold, sell, change):
    subscription = sold()
    for when in ("NOW", "PERIOD_END"):
        with pytest.raises(Conflict, match="try after that") as refusal:
            change(subscription, sell(), when=when, now=utc(2026, 3, 31, 23, 51))
        assert refusal.value.code == "PERIOD_TURNS"
    assert subscription.plans.count() == 1
    assert change(subscription, sell(), now=utc(2026, 4, 1)).effective_at > utc(2026, 4, 1)


@pytest.mark.parametrize("state", ["PAUSED", "EXPIRED", "CANCELLED"])
def test_what_does_not_run_does_not_change(tenant, sell, change, state):
    subscription = SubscriptionFactory(tenant=tenant, state=state, end_at=utc(2027, 1, 1))
    with pytest.raises(Conflict) as refusal:
        change(subscription, sell())
    assert refusal.value.code == "NOT_RUNNING"


def test_an_offering_must_be_ones_own_another_and_in_the_currency(sold, sell, change, tenant):
    subscription = sold()
    with pytest.raises(NotFound):
        change(subscription, OfferingFactory())
    with pytest.raises(Conflict, match="already"):
        change(subscription, subscription.offering)
    version = RatePlanVersionFactory(tenant=tenant, rate_plan__currency="EUR", published=True)
    with pytest.raises(Refused, match="no prices in USD"):
        change(subscription, OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan]))
    assert subscription.plans.count() == 1


def test_a_new_version_leaves_what_is_pinned_alone_until_it_is_moved(sold, actor):
    subscription = sold()
    (pinned,) = plans_at(subscription, NOW)
    newer = RatePlanVersionFactory(
        tenant=subscription.tenant,
        rate_plan=pinned.version.rate_plan,
        number=2,
        base_fee=Decimal(99),
        published=True,
    )
    assert [plan.version for plan in plans_at(subscription, NOW)] == [pinned.version]

    move_to_version(subscription=subscription, version=newer, actor=actor, now=NOW, reason="asked")

    assert [plan.version for plan in plans_at(subscription, utc(2026, 3, 1))] == [pinned.version]
    assert [plan.version for plan in plans_at(subscription, NOW)] == [newer]
    entry = AuditEntry.objects.get(action="SUBSCRIPTION_MOVED_TO_VERSION")
    assert entry.reason == "asked"
    assert entry.changes["versions"]["after"] == [str(newer)]
    with pytest.raises(Conflict, match="already"):
        move_to_version(subscription=subscription, version=newer, actor=actor, now=NOW)


def test_only_a_published_version_of_its_own_plans_is_moved_to(sold, actor, tenant):
    subscription = sold()
    (pinned,) = plans_at(subscription, NOW)
    draft = RatePlanVersionFactory(tenant=tenant, rate_plan=pinned.version.rate_plan, number=2)
    other = RatePlanVersionFactory(tenant=tenant, published=True)
    for version in (draft, other):
        with pytest.raises(Refused):
            move_to_version(subscription=subscription, version=version, actor=actor, now=NOW)
    assert subscription.plans.count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_change_the_plan_once(sold, sell, actor):
    subscription, target = sold(), sell()

    def change(_):
        try:
            change_offering(subscription=subscription, offering=target, actor=actor, now=NOW)
        except Conflict:
            return "refused"
        return "changed"

    assert sorted(in_threads(8, change)) == ["changed"] + ["refused"] * 7
    assert [row.start_at for row in subscription.periods.all()[:2]] == [utc(2026, 3, 1), NOW]


@pytest.mark.django_db(transaction=True)
def test_eight_subscriptions_of_a_customer_do_not_meet_in_one_offering(sold, sell, actor):
    sold_rows = [sold() for _ in range(8)]
    customer = sold_rows[0].customer
    Subscription.objects.update(customer=customer)
    rows = list(Subscription.objects.all())
    target = sell()

    def change(index):
        try:
            change_offering(subscription=rows[index], offering=target, actor=actor, now=NOW)
        except Conflict:
            return "refused"
        return "changed"

    assert sorted(in_threads(8, change)) == ["changed"] + ["refused"] * 7
