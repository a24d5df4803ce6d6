import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.ids import new_id
from metering.models import RatingAdjustment, RunningTotal
from metering.services.carrying import Move
from metering.services.missing_totals import ensure_totals
from metering.services.watermarks import WantedTotal, lock_totals, stamp_billed
from tests.billing.build import APRIL, priced_subscription
from tests.billing.metered import meter
from tests.factories import SubscriptionFactory
from tests.threads import in_threads


def wanted(period, *unit_ids):
    version_id = period.subscription.plans.get().version_id
    return [
        WantedTotal(period.id, version_id, unit_id, period.subscription_id, period.tenant_id)
        for unit_id in unit_ids
    ]


@pytest.mark.django_db
def test_missing_totals_are_made_empty_and_others_left_alone():
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    total = meter(period, unit, [1, 1])
    other = new_id()
    ensure_totals(wanted(period, unit.id, other))
    ensure_totals(wanted(period, unit.id, other))
    kept, made = RunningTotal.objects.order_by("id")
    assert (kept.id, kept.position) == (total.id, 2)
    assert (made.unit_id, made.position, made.quantity) == (other, 0, 0)
    assert bytes(made.digest) == bytes(32)
    assert made.billed_position is None


@pytest.mark.django_db
def test_nothing_wanted_is_nothing_asked():
    with CaptureQueriesContext(connection) as queries:
        ensure_totals([])
    assert len(queries) == 0


@pytest.mark.django_db
def test_a_locked_total_comes_whole_with_the_sum_of_its_adjustments():
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "2"})
    total = meter(period, unit, [1, 1, 1])
    for amount in ("0.5", "-0.25"):
        RatingAdjustment.objects.create(
            tenant_id=period.tenant_id,
            running_total=total,
            amount=amount,
            reason="a grant",
            created_at=APRIL,
        )
    (locked,) = lock_totals([period.id])
    assert (locked.id, locked.unit_id, locked.period_id) == (total.id, unit.id, period.id)
    assert (locked.quantity, locked.event_count, locked.position) == (3, 3, 3)
    assert (str(locked.revenue), str(locked.adjustments)) == ("6", "0.25")
    assert locked.digest == total.digest


@pytest.mark.django_db
def test_the_watermark_is_where_the_total_stands():
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "2"})
    total = meter(period, unit, [1, 1, 1])
    stamp_billed([total.id])
    assert RunningTotal.objects.get().billed_position == 3


@pytest.mark.django_db(transaction=True)
def test_eight_threads_make_each_total_once():
    period, _ = priced_subscription()
    units = [new_id() for _ in range(20)]

    def make(index):
        ensure_totals(wanted(period, *(units if index % 2 else reversed(units))))

    in_threads(8, make)
    assert RunningTotal.objects.count() == 20


@pytest.mark.django_db
def test_all_that_is_missing_is_made_by_one_statement_in_the_order_of_drains():
    """Of own and next periods together: in two steps, a drain could come the other way."""
    subscription = SubscriptionFactory(months=4)
    first, second, third, fourth = subscription.periods.order_by("start_at")
    version_id, (one, two) = new_id(), sorted((new_id(), new_id()))
    RunningTotal.objects.create(
        tenant_id=first.tenant_id,
        subscription_id=subscription.pk,
        plan_version_id=version_id,
        unit_id=one,
        dimension='{"region":"eu"}',
        period_id=first.pk,
    )
    rows = [
        WantedTotal(period.pk, version_id, unit_id, subscription.pk, first.tenant_id)
        for period in (third, first)
        for unit_id in (two, one)
    ]
    moves = [
        Move(period.pk, version_id, one, after.pk, version_id)
        for period, after in ((third, fourth), (first, second))
    ]
    ensure_totals(rows, moves)
    made = list(RunningTotal.objects.order_by("id")[1:])
    places = [(total.period_id, total.unit_id, total.dimension) for total in made]
    assert len(places) == 7
    assert places == sorted(places)
