"""Where pieces meet: corrections of held events, of archived months, of numbers with all digits."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aforo.errors import Conflict, Refused
from aforo.money import plain
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import InvoiceLine
from billing.services.invoices import bill_periods
from catalog.services.subscriptions import cancel_subscription
from metering.archive import parquet
from metering.models import (
    ArchivedMonth,
    Correction,
    DeadLetter,
    HeldEvent,
    RunningTotal,
    UnknownMetric,
    UsageEvent,
)
from metering.selectors.accounts import account_of
from metering.services import partitions, retention
from metering.services.corrections import amend_event, void_event
from metering.services.held import accept_event, decide_events
from tests.billing.build import bill_run
from tests.billing.test_late_usage import (
    APRIL,
    JUNE,
    MAY,
    PER_CALL,
    accept_all,
    assert_all_is_proven,
    bill,
    sell,
    things,
)
from tests.factories import BillableUnitFactory, RatePlanVersionFactory
from tests.metering import conftest
from tests.metering.conftest import subscribe
from tests.metering.events import billed, event, outcomes
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("somebody")
WHY = {"actor": ACTOR, "reason": "sent by mistake", "now": conftest.NOW}
LATER = datetime(2027, 5, 10, tzinfo=UTC)
HUGE = "123456789012345678901234.123456789012"
seller, no_wakes, fresh_process = conftest.seller, conftest.no_wakes, conftest.fresh_process


@pytest.fixture(autouse=True)
def months(db):
    partitions.make_around([APRIL])


@pytest.fixture
def half_held(seller):
    """An event that two units count: one has counted it, the period of the other is billed."""
    sell(seller, PER_CALL)
    more = BillableUnitFactory(
        tenant=seller.tenant, name="more", source_metric="things", aggregation="COUNT"
    )
    first = conftest.RatePlanVersion.objects.get(prices__unit__name="things")
    version = RatePlanVersionFactory(tenant=seller.tenant, prices={more: PER_CALL}, published=True)
    subscription = subscribe(seller.tenant, "both", version)
    subscription.plans.create(tenant=seller.tenant, version=first, position=1)
    conftest.catalog_changed(seller.tenant)
    seller.count(things(1, 8, customerId="both"))
    billed(unit_id=more.id)
    seller.count(things(2, 5, customerId="both"))
    assert HeldEvent.objects.count() == 1
    return seller


def row_of(number):
    return UsageEvent.objects.exclude(source="VOID").get(idempotency_key=f"key-{number}")


def void(seller, number):
    return void_event(tenant=seller.tenant, event_id=row_of(number).pk, **WHY)


def assert_truths(seller):
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
    assert account_of(seller.tenant.id).balances


def test_what_is_taken_back_from_one_unit_does_not_wait_for_another(half_held):
    void(half_held, 2)
    accept_all(half_held.tenant)
    assert sorted(plain(one.quantity) for one in RunningTotal.objects.all()) == ["1", "8"]
    held = HeldEvent.objects.get()
    assert (held.status, held.reason, held.decided_by) == ("WAIVED", WHY["reason"], ACTOR.name)
    assert account_of(half_held.tenant.id).waived == 1
    assert_truths(half_held)


def test_what_is_amended_is_counted_once_by_each_unit(half_held):
    amend_event(
        tenant=half_held.tenant,
        event_id=row_of(2).pk,
        changes={"quantity": Decimal(3)},
        **WHY,
    )
    accept_all(half_held.tenant)
    assert sorted(plain(one.quantity) for one in RunningTotal.objects.all()) == ["11", "2"]
    assert_truths(half_held)


@pytest.mark.django_db(transaction=True)
def test_accepted_and_taken_back_at_once_an_event_is_counted_nowhere(half_held):
    held, event_id = HeldEvent.objects.get(), row_of(2).pk

    def work(index):
        try:
            if index % 2:
                void_event(tenant=half_held.tenant, event_id=event_id, **WHY)
            else:
                own = HeldEvent.objects.get(pk=held.pk)
                accept_event(held=own, actor=ACTOR, reason="ours", now=APRIL)
        except Exception as error:  # noqa: BLE001 - told by its code
            return getattr(error, "code", repr(error))
        return "done"

    told = in_threads(8, work)
    assert set(told) <= {"done", "EVENT_TAKEN_BACK", "HELD_EVENT_DECIDED"}
    assert sorted(plain(one.quantity) for one in RunningTotal.objects.all()) == ["1", "8"]
    assert_truths(half_held)


def test_all_digits_of_a_quantity_are_taken_back(seller):
    sell(seller, PER_CALL, unit_cost="0.000000000007")
    seller.count(things(1, HUGE), things(2, 1))
    void(seller, 1)
    total = RunningTotal.objects.get()
    assert (plain(total.quantity), plain(total.revenue)) == ("1", "0.02")
    assert_all_is_proven(seller)


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_take_an_unbilled_event_back_once(seller):
    Tenant.objects.filter(pk=seller.tenant.pk).update(unknown_metric="ACCEPT_UNBILLED")
    seller.count(event(1, metricName="strange"))
    event_id = row_of(1).pk

    def work(index):
        try:
            void_event(tenant=seller.tenant, event_id=event_id, **WHY)
        except Conflict as refusal:
            return refusal.code
        return "done"

    assert sorted(in_threads(8, work)) == ["EVENT_TAKEN_BACK"] * 7 + ["done"]
    assert UsageEvent.objects.count() == 2
    assert_truths(seller)


def test_what_came_early_for_a_period_that_is_cancelled_away_is_billed(seller, queued):
    subscription = sell(seller, PER_CALL)
    now = APRIL - timedelta(minutes=2)
    move_clock(seller, now)
    seller.count(things(1, 5, occurredAt="2026-04-01T00:01:00Z"))
    cancel_subscription(subscription=subscription, actor=ACTOR, now=now)
    assert_truths(seller)
    march, april = bill(seller.tenant, MAY)
    assert (str(march.total), str(april.total)) == ("0.0000", "0.1000")
    assert april.period_end_at == APRIL + timedelta(minutes=8)
    assert_all_is_proven(seller)


def test_without_events_nothing_is_billed_after_a_cancellation(seller, queued):
    subscription = sell(seller, PER_CALL)
    now = APRIL - timedelta(minutes=2)
    move_clock(seller, now)
    cancel_subscription(subscription=subscription, actor=ACTOR, now=now)
    (march,) = bill(seller.tenant, MAY)
    assert march.period_end_at == now


@pytest.mark.django_db(transaction=True)
def test_no_event_is_lost_when_eight_count_and_cancel_at_once(seller, queued):
    """Four send events of both sides of the turn, four cancel: what is counted is billed."""
    subscription = sell(seller, PER_CALL, months=3)
    now = APRIL - timedelta(minutes=2)
    move_clock(seller, now)

    def act(index):
        if index % 2:
            cancel_subscription(subscription=subscription, actor=ACTOR, now=now)
        else:
            for number, minute in enumerate(("03-31T23:57:00Z", "04-01T00:01:00Z")):
                seller.count(things(10 * index + number + 1, 1, occurredAt=f"2026-{minute}"))

    in_threads(8, act)
    assert_truths(seller)
    billed = sum(invoice.total for invoice in bill(seller.tenant, MAY))
    counted = UsageEvent.objects.filter(running_total_id__isnull=False)
    assert billed == sum(event.revenue for event in counted)
    assert_all_is_proven(seller)


@pytest.mark.django_db(transaction=True)
def test_accepted_while_a_run_holds_the_total_all_is_billed_once(seller, queued):
    subscription = sell(seller, PER_CALL, months=3)
    seller.count(things(1, 5))
    bill(seller.tenant, APRIL)
    seller.count(*(things(number) for number in range(10, 50)))
    held = list(HeldEvent.objects.order_by("pk").values_list("pk", flat=True))
    run = bill_run(seller.tenant, start=APRIL, end=MAY, auto_finalize=True, status="COMPLETED")
    april = subscription.periods.order_by("start_at")[1]

    def work(index):
        if index == 0:
            return bill_periods(run=run, period_ids=[april.pk], now=MAY)
        return decide_events(
            tenant=seller.tenant,
            chosen=HeldEvent.objects.filter(pk__in=held[index::7]),
            status=HeldEvent.Status.ACCEPTED,
            actor=ACTOR,
            reason="ours",
            now=APRIL,
        )

    in_threads(8, work)
    accept_all(seller.tenant)
    bill(seller.tenant, JUNE, start=MAY)
    total = RunningTotal.objects.get(quantity__gt=0)
    lines = InvoiceLine.objects.filter(unit_id=total.unit_id)
    assert sum(line.exact_amount for line in lines) == Decimal("0.9")
    assert_all_is_proven(seller)


@pytest.fixture
def policy(settings, tmp_path):
    settings.KEEP_EVENTS_MONTHS = 6
    settings.KEEP_RAW_MONTHS = settings.KEEP_RECEIPTS_DAYS = 0
    settings.ARCHIVE_DIR = str(tmp_path / "archive")
    return settings


def move_clock(seller, to):
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=to)


def retire(seller):
    billed()
    move_clock(seller, LATER)
    return retention.retire_by_policy(now=LATER).months


def test_the_file_of_an_archived_month_is_never_written_again(seller, policy):
    seller.count(event(1), event(2))
    assert "usage_events_202603" in retire(seller)
    before = ArchivedMonth.objects.get(month="2026-03-01")
    partitions.make_between(conftest.NOW, conftest.NOW)
    assert "usage_events_202603" not in retire(seller)
    assert parquet.sha256_of(parquet.Path(before.file)) == before.sha256
    assert ArchivedMonth.objects.get(month="2026-03-01").row_count == 2
    assert_truths(seller)


@pytest.mark.parametrize(
    "unit", [{"aggregation": "MAX"}, {"aggregation": "UNIQUE", "event_field": "user"}]
)
def test_what_only_archived_events_could_tell_is_not_guessed(seller, policy, unit):
    subscription = sell(seller, PER_CALL, months=1, **unit)
    period = subscription.periods.get()
    type(period).objects.filter(pk=period.pk).update(end_at=MAY)
    conftest.catalog_changed(seller.tenant)
    seller.count(things(1, 9, metadata={"user": 1}))
    move_clock(seller, datetime(2026, 4, 20, tzinfo=UTC))
    in_april = {"occurredAt": "2026-04-10T00:00:00Z"}
    seller.count(things(2, 9, metadata={"user": 1}, **in_april))
    billed()
    move_clock(seller, LATER)
    policy.KEEP_EVENTS_MONTHS = 13
    assert "usage_events_202603" in retention.retire_by_policy(now=LATER).months
    with pytest.raises(Refused) as refusal:
        void(seller, 2)
    assert refusal.value.code == "EVENTS_ARCHIVED"
    assert RunningTotal.objects.get().event_count == 2
    assert not Correction.objects.exists()


def test_a_policy_for_unknown_metrics_holds_from_the_next_drain_on(seller):
    def set_policy(policy):
        Tenant.objects.filter(pk=seller.tenant.pk).update(unknown_metric=policy)

    set_policy("ACCEPT_UNBILLED")
    seller.count(event(1, metricName="strange"))
    set_policy("CREATE")
    seller.count(event(2, metricName="strange"))
    assert [one.name for one in UnknownMetric.objects.all()] == ["strange"]
    seller.send(event(3, metricName="strange"))
    set_policy("REJECT")
    seller.drain()
    assert outcomes() == {"unbilled": 2, "dead": 1}
    assert DeadLetter.objects.get().code == "UNKNOWN_METRIC"
    assert_truths(seller)
