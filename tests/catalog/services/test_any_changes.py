"""Whatever is done to a subscription, its periods tile the time in which it runs."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from catalog.services import periods
from catalog.services.advancing import advance_all
from catalog.services.pauses import pause_subscription, resume_subscription
from catalog.services.plan_changes import change_offering, plans_at
from catalog.services.subscriptions import cancel_subscription, create_subscription
from catalog.services.trials import convert_trial
from tests.factories import CustomerFactory, OfferingFactory, RatePlanVersionFactory, TenantFactory

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 31, tzinfo=UTC)
ACTOR = Actor.system()
ACTS = ("pause", "resume", "change", "change later", "change whole", "convert", "extend", "time")


def offering(tenant):
    version = RatePlanVersionFactory(tenant=tenant, published=True)
    return OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan])


def act(name, subscription, now):
    who = {"subscription": subscription, "actor": ACTOR, "now": now}
    match name:
        case "pause":
            pause_subscription(**who)
        case "resume":
            resume_subscription(**who)
        case "convert":
            convert_trial(**who)
        case "cancel":
            cancel_subscription(**who)
        case "extend":
            periods.extend_all_periods(now=now)
        case "time":
            advance_all(now=now)
        case _:
            when = "PERIOD_END" if name == "change later" else "NOW"
            target = offering(subscription.tenant)
            change_offering(**who, offering=target, when=when, prorate=name != "change whole")


def was_paused(subscription, start, end):
    phases = list(subscription.phases.all())
    return any(
        phase.state == "PAUSED" and phase.started_at <= end and following.started_at >= start
        for phase, following in pairwise(phases)
    )


@given(
    acts=st.lists(
        st.tuples(st.sampled_from(ACTS), st.integers(0, 40 * 86_400)), min_size=1, max_size=6
    ),
    trial_days=st.sampled_from([0, 20]),
    cycle=st.sampled_from(["WEEKLY", "MONTHLY", "QUARTERLY"]),
)
@example(acts=[("convert", 1_968_195)], trial_days=20, cycle="WEEKLY")
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_periods_tile_the_time_in_which_it_runs(acts, trial_days, cycle):
    tenant = TenantFactory()
    sold = offering(tenant)
    sold.trial_days = trial_days
    sold.save()
    subscription = create_subscription(
        tenant=tenant,
        actor=ACTOR,
        now=START,
        customer=CustomerFactory(tenant=tenant),
        offering=sold,
        start=START,
        billing_cycle=cycle,
    )
    now = START
    for name, seconds in acts:
        now += timedelta(seconds=seconds)
        periods.extend_all_periods(now=now)  # Beat is never so late
        try:
            act(name, subscription, now)
        except Conflict:
            continue
    periods.extend_all_periods(now=now)

    rows = list(subscription.periods.all())
    assert rows[0].start_at == START
    for row, following in pairwise(rows):
        gap = following.start_at - row.end_at
        assert gap == timedelta(0) or was_paused(subscription, row.end_at, following.start_at)
        assert gap >= timedelta(0)
    subscription.refresh_from_db()
    if subscription.state != "PAUSED":
        assert rows[-1].end_at >= now + periods.AHEAD
    for row in rows:
        assert len(plans_at(subscription, row.start_at)) == 1
        assert row.whole_start_at <= row.start_at
        assert (row.kind == "TRIAL") == (
            subscription.trial_end_at is not None and row.start_at < subscription.trial_end_at
        )
