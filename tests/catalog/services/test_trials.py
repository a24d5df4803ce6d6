"""A trial is a period that costs nothing; what comes after it is paid for, or never begins."""

from datetime import UTC, datetime

import pytest

from aforo.errors import Conflict
from catalog.services.advancing import advance_all
from catalog.services.trials import convert_trial
from tests.factories import NOW, BillingEntityFactory


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def stored(subscription):
    return [(row.kind, row.start_at, row.end_at) for row in subscription.periods.all()[:2]]


def test_an_offering_with_trial_days_begins_with_a_trial(sold, sell):
    subscription = sold(sell(trial_days=30))
    assert (subscription.state, subscription.trial_end_at) == ("TRIALING", utc(2026, 3, 31))
    assert subscription.anchor_day == 31  # the day from which on it is paid for
    assert stored(subscription) == [
        ("TRIAL", utc(2026, 3, 1), utc(2026, 3, 31)),
        ("REGULAR", utc(2026, 3, 31), utc(2026, 4, 30)),
    ]


def test_a_trial_may_be_declined_or_dated(sold, sell):
    assert sold(sell(trial_days=30), start_trial=False).state == "ACTIVE"
    dated = sold(trial_ends_at=utc(2026, 3, 20, 6))
    assert dated.trial_end_at == utc(2026, 3, 20, 6)


def test_days_of_a_trial_end_with_a_local_day(sold, sell, tenant):
    BillingEntityFactory(tenant=tenant, time_zone="Europe/Berlin")
    subscription = sold(sell(trial_days=14), start=NOW)  # 13:00 in Berlin; clocks change meanwhile
    assert subscription.trial_end_at == utc(2026, 3, 29, 22)


def test_a_trial_that_is_over_when_it_is_sold_is_stored_all_the_same(sold, sell):
    subscription = sold(sell(trial_days=5))
    assert subscription.state == "ACTIVE"
    assert stored(subscription)[0] == ("TRIAL", utc(2026, 3, 1), utc(2026, 3, 6))


def test_a_trial_is_paid_for_after_its_end(sold, sell):
    subscription = sold(sell(trial_days=30))
    assert advance_all(now=utc(2026, 3, 30, 23)) == 0
    assert advance_all(now=utc(2026, 3, 31)) == 1
    subscription.refresh_from_db()
    assert subscription.state == "ACTIVE"
    assert subscription.phases.last().started_at == utc(2026, 3, 31)


def test_a_trial_that_nobody_pays_for_ends_cancelled(sold, sell):
    subscription = sold(sell(trial_days=30), auto_convert=False)
    assert stored(subscription) == [("TRIAL", utc(2026, 3, 1), utc(2026, 3, 31))]
    assert advance_all(now=utc(2026, 4, 2)) == 1
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_at) == ("CANCELLED", utc(2026, 3, 31))
    assert subscription.periods.count() == 1


@pytest.mark.parametrize("auto_convert", [True, False])
def test_a_trial_may_be_paid_for_before_its_end(sold, sell, actor, auto_convert):
    subscription = sold(sell(trial_days=30), auto_convert=auto_convert)
    converted = convert_trial(subscription=subscription, actor=actor, now=NOW)
    assert (converted.state, converted.trial_end_at) == ("ACTIVE", NOW)
    assert stored(subscription) == [
        ("TRIAL", utc(2026, 3, 1), NOW),
        ("REGULAR", NOW, utc(2026, 3, 31)),
    ]
    assert convert_trial(subscription=subscription, actor=actor, now=NOW).state == "ACTIVE"
    assert subscription.phases.count() == 3
    assert advance_all(now=utc(2026, 3, 31)) == 0


def test_the_last_minutes_of_a_trial_stay_free(sold, sell, actor):
    subscription = sold(sell(trial_days=30), auto_convert=False)
    now = utc(2026, 3, 30, 23, 55)
    assert convert_trial(subscription=subscription, actor=actor, now=now).state == "ACTIVE"
    assert stored(subscription) == [
        ("TRIAL", utc(2026, 3, 1), utc(2026, 3, 31)),
        ("REGULAR", utc(2026, 3, 31), utc(2026, 4, 30)),
    ]


def test_what_has_no_trial_cannot_be_converted(sold, actor):
    with pytest.raises(Conflict) as refusal:
        convert_trial(subscription=sold(), actor=actor, now=NOW)
    assert refusal.value.code == "NO_TRIAL"
