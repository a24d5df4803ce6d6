"""Late usage, from a held event to an adjustment on the next invoice that is proven."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F

from aforo.money import plain
from aforo.tenancy.models import Tenant
from billing.invariants import broken_truths
from billing.models import BillRunEventIndex, BillRunItem, Invoice, InvoiceLine
from billing.services import bill_pages
from billing.services.bill_runs import advance_run, create_run, execute_run
from billing.services.closing import close_periods
from billing.services.invoices import bill_periods
from billing.verification import verify_invoice
from catalog.models import Subscription, SubscriptionPeriod
from metering.models import HeldEvent, LateTotal, RunningTotal
from metering.selectors.accounts import account_of
from metering.services import partitions
from metering.services.held import decide_events
from tests.billing.build import APRIL, bill_run
from tests.billing.test_scenarios import ACTOR
from tests.factories import (
    MONTH_START,
    BillableUnitFactory,
    BillRunFactory,
    RatePlanVersionFactory,
)
from tests.metering import conftest
from tests.metering.conftest import catalog_changed, subscribe
from tests.metering.events import event
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
LATE = "2026-03-10T00:00:00Z"
PER_CALL = {"model": "PER_UNIT", "rate": "0.02"}
VOLUME = {
    "model": "VOLUME_TIERED",
    "tiers": [{"tierEnd": 10, "unitPrice": "1"}, {"tierEnd": -1, "unitPrice": "0.5"}],
}
seller, no_wakes, fresh_process = conftest.seller, conftest.no_wakes, conftest.fresh_process


@pytest.fixture(autouse=True)
def months(db):
    partitions.make_around([APRIL])


def sell(seller, terms, name="buyer", months=2, fees=None, **unit):
    """A customer subscribed to one unit, `things`, at these terms."""
    made = BillableUnitFactory(tenant=seller.tenant, name="things", **{"aggregation": "SUM"} | unit)
    version = RatePlanVersionFactory(
        tenant=seller.tenant, prices={made: terms}, published=True, **fees or {}
    )
    return subscribe(seller.tenant, name, version, months=months)


def things(number, quantity=1, **fields):
    more = {"customerId": "buyer", "metricName": "things", "occurredAt": LATE}
    return event(number, quantity=quantity, **more | fields)


def bill(tenant, until, start=MONTH_START, **fields):
    """A run over all that has ended by then, as workers carry it out; the invoices it made."""
    Tenant.objects.filter(pk=tenant.pk).update(clock_frozen_at=until)
    run = create_run(
        tenant=tenant,
        window_start=start,
        window_end=until,
        auto_finalize=True,
        actor=ACTOR,
        now=until,
        **fields,
    )
    carry_out(run, until)
    return list(run.invoices.filter(customer__external_id="buyer"))


def carry_out(run, now):
    execute_run(run=run, actor=ACTOR, now=now)
    advance_run(run_id=run.id, now=now)
    for page in BillRunItem.objects.filter(run=run).values_list("page", flat=True).distinct():
        bill_pages.bill_page(run_id=run.id, page=page, now=now)
    run.refresh_from_db()
    assert run.status == "COMPLETED", list(run.items.values_list("error", flat=True))


def accept_all(tenant, now=APRIL):
    return decide_events(
        tenant=tenant,
        chosen=HeldEvent.objects.all(),
        status=HeldEvent.Status.ACCEPTED,
        actor=ACTOR,
        reason="ours",
        now=now,
    )


def adjusted(invoice):
    return invoice.lines.filter(period_start_at__isnull=False).order_by("position")


def end_subscription(seller, at=APRIL):
    Subscription.objects.filter(customer__external_id="buyer").update(end_at=at)
    SubscriptionPeriod.objects.filter(
        start_at__gte=at, subscription__customer__external_id="buyer"
    ).delete()
    catalog_changed(seller.tenant)


def assert_all_is_proven(seller):
    for invoice in Invoice.objects.all():
        assert verify_invoice(invoice).broken == ()
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
    assert account_of(seller.tenant.id).balances


def test_an_accepted_event_is_a_line_of_the_next_invoice(seller, queued):
    """The worked example of docs/billing.md."""
    tiers = [{"tierEnd": 1000, "unitPrice": "0.01"}, {"tierEnd": -1, "unitPrice": "0.005"}]
    sell(seller, {"model": "GRADUATED", "tiers": tiers})
    seller.count(things(1, 600), things(2, 300))
    (march,) = bill(seller.tenant, APRIL)
    seller.count(things(3, 250))
    accept_all(seller.tenant)
    seller.count(things(4, 100, occurredAt="2026-04-01T00:00:00Z"))
    (april,) = bill(seller.tenant, MAY)
    assert (str(march.total), str(april.total)) == ("9.0000", "2.7500")
    (line,) = adjusted(april)
    assert (line.period_start_at, line.period_end_at) == (MONTH_START, APRIL)
    assert (line.type, line.stage, str(line.exact_amount)) == ("USAGE_FEE", "Rate", "1.750")
    assert [(one["label"], one["quantity"], one["amount"]) for one in line.charges] == [
        ("all usage of the period", "1150", "10.75"),
        ("billed before", "-900", "-9"),
    ]
    span = BillRunEventIndex.objects.get(line=line)
    assert (span.first_position, span.last_position, span.event_count) == (3, 3, 1)
    assert (plain(span.quantity), plain(span.revenue)) == ("250", "1.75")
    total = RunningTotal.objects.get(id=span.running_total_id)
    assert (total.billed_position, plain(total.billed_quantity)) == (3, "1150")
    assert not LateTotal.objects.exists()
    assert_all_is_proven(seller)


def test_it_is_billed_once_and_what_comes_later_with_the_next(seller, queued):
    sell(seller, PER_CALL, months=3)
    seller.count(things(1, 10))
    bill(seller.tenant, APRIL)
    for number in (2, 3):
        seller.count(things(number, 5))
        accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    assert bill(seller.tenant, MAY) == []
    seller.count(things(4, 1))
    accept_all(seller.tenant)
    (may,) = bill(seller.tenant, JUNE)
    assert [str(line.amount) for line in (*adjusted(april), *adjusted(may))] == ["0.2000", "0.0200"]
    spans = BillRunEventIndex.objects.filter(
        line__in=InvoiceLine.objects.filter(period_start_at__isnull=False)
    )
    places = spans.order_by("first_position").values_list("first_position", "last_position")
    assert list(places) == [(2, 3), (4, 4)]
    assert_all_is_proven(seller)


def test_a_tenant_may_have_all_of_it_billed_by_itself(seller, queued):
    Tenant.objects.filter(pk=seller.tenant.pk).update(late_policy="AUTO")
    sell(seller, PER_CALL)
    bill(seller.tenant, APRIL)
    seller.count(things(1, 10), things(2, 15))
    (april,) = bill(seller.tenant, MAY)
    (line,) = adjusted(april)
    assert (str(line.amount), plain(line.quantity)) == ("0.5000", "25")
    assert BillRunEventIndex.objects.get(line=line).first_position == 1
    assert not HeldEvent.objects.exists()
    assert_all_is_proven(seller)


def test_a_waived_event_is_on_no_invoice(seller, queued):
    sell(seller, PER_CALL)
    bill(seller.tenant, APRIL)
    seller.count(things(1, 10))
    HeldEvent.objects.update(status="WAIVED")
    (april,) = bill(seller.tenant, MAY)
    assert list(adjusted(april)) == []


FLAT_RATE = {"model": "FLAT_RATE", "flatRate": "5"}
FEES = {"model": "PERCENTAGE", "ratePercent": "2.9", "fixedFee": "0.3"}


@pytest.mark.parametrize(
    ("terms", "aggregation", "quantities", "late", "expected"),
    [
        (PER_CALL, "MAX", [3, 7], [5, 9], "0.0400"),
        (PER_CALL, "COUNT", [3, 7], [5, 9], "0.0400"),
        (VOLUME, "SUM", [9], [2], "-3.5000"),  # 11 at 0.50 instead of 9 at 1.00
        (FLAT_RATE, "SUM", [1], [1], "0.0000"),
        (FEES, "SUM", [100], [50], "1.7500"),
    ],
)
def test_an_adjustment_is_the_difference_of_two_prices(
    seller, queued, terms, aggregation, *, quantities, late, expected
):
    sell(seller, terms, fees={"base_fee": "20"}, aggregation=aggregation)
    seller.count(*(things(n, quantity) for n, quantity in enumerate(quantities)))
    bill(seller.tenant, APRIL)
    seller.count(*(things(10 + n, quantity) for n, quantity in enumerate(late)))
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    (line,) = adjusted(april)
    assert str(line.amount) == expected
    assert_all_is_proven(seller)


def test_distinct_values_are_counted_on_from_where_they_were(seller, queued):
    sell(seller, PER_CALL, aggregation="UNIQUE", event_field="user")
    seller.count(*(things(n, metadata={"user": user}) for n, user in enumerate("aab")))
    bill(seller.tenant, APRIL)
    seller.count(*(things(10 + n, metadata={"user": user}) for n, user in enumerate("bcd")))
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    (line,) = adjusted(april)
    assert (plain(line.quantity), str(line.amount)) == ("2", "0.0400")
    assert_all_is_proven(seller)


def test_a_credit_without_room_waits_for_an_invoice_that_has_it(seller, queued):
    sell(seller, VOLUME, months=3)
    seller.count(things(1, 9))
    bill(seller.tenant, APRIL)
    seller.count(things(2, 2))
    accept_all(seller.tenant)
    seller.count(things(3, 3, occurredAt="2026-04-01T00:00:00Z"))
    (april,) = bill(seller.tenant, MAY)
    assert (str(april.total), list(adjusted(april))) == ("3.0000", [])
    (record,) = [one for one in april.stage_record.stages if one["stage"] == "Rate"]
    assert "-3.5 waits for an invoice with room for it" in record["notes"][0]
    assert LateTotal.objects.get().deferred_at == MAY
    assert_all_is_proven(seller)
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=MAY + timedelta(days=1))
    seller.count(things(4, 4, occurredAt="2026-05-01T00:00:00Z"))
    (may,) = bill(seller.tenant, JUNE)
    assert (str(may.total), [str(one.amount) for one in adjusted(may)]) == ("0.5000", ["-3.5000"])
    assert_all_is_proven(seller)


def test_late_usage_of_an_ended_subscription_is_an_invoice_of_its_own(seller, queued):
    fees = {
        "base_fee": "10",
        "minimum_spend": "30",
        "discount_amount": "1",
        "discount_percent": "10",
    }
    sell(seller, PER_CALL, fees=fees)
    seller.count(things(1, 10))
    end_subscription(seller)
    bill(seller.tenant, APRIL)
    assert bill(seller.tenant, MAY) == []
    seller.count(things(2, 1000))
    accept_all(seller.tenant)
    (alone,) = bill(seller.tenant, MAY, start=APRIL)
    assert (alone.kind, str(alone.total)) == ("ADJUSTMENT", "18.0000")  # 20.00 less 10 %
    assert (alone.period_start_at, alone.period_end_at) == (MONTH_START, APRIL)
    assert alone.number is not None
    assert alone.lines.filter(stage__in=("Rate", "Discount")).count() == alone.lines.count() == 2
    assert bill(seller.tenant, MAY) == []
    assert_all_is_proven(seller)


def test_a_credit_alone_makes_no_invoice_and_no_runs_by_the_clock(seller, queued):
    sell(seller, VOLUME)
    seller.count(things(1, 9))
    end_subscription(seller)
    bill(seller.tenant, APRIL)
    seller.count(things(2, 2))
    accept_all(seller.tenant)
    assert bill(seller.tenant, MAY) == []
    assert LateTotal.objects.get().deferred_at == MAY
    assert close_periods(now=MAY) == 0
    assert_all_is_proven(seller)


def test_the_clock_bills_late_usage_of_ended_subscriptions(seller, queued):
    sell(seller, PER_CALL)
    end_subscription(seller)
    SubscriptionPeriod.objects.exclude(subscription__customer__external_id="buyer").delete()
    bill(seller.tenant, APRIL)
    assert close_periods(now=MAY) == 0
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=MAY)
    seller.count(things(1, 100))
    accept_all(seller.tenant)
    assert close_periods(now=MAY) == 1
    assert close_periods(now=MAY) == 0  # not while that one runs


def test_a_minimum_is_not_met_by_usage_of_another_period(seller, queued):
    sell(seller, PER_CALL, fees={"minimum_spend": "5"})
    seller.count(things(1, 10))
    bill(seller.tenant, APRIL)
    seller.count(things(2, 100))
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    assert str(april.total) == "7.0000"
    assert_all_is_proven(seller)


def test_a_draft_keeps_its_watermark(seller, queued):
    sell(seller, PER_CALL)
    run = bill_run(seller.tenant, auto_finalize=False)
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=APRIL)
    period = SubscriptionPeriod.objects.get(
        end_at=APRIL, subscription__customer__external_id="buyer"
    )
    bill_periods(run=run, period_ids=[period.id], now=APRIL)
    draft = Invoice.objects.get()
    seller.count(things(1, 10))
    accept_all(seller.tenant)
    draft.refresh_from_db()
    assert (draft.status, str(draft.total)) == ("DRAFT", "0.0000")
    assert_all_is_proven(seller)


@pytest.mark.django_db(transaction=True)
def test_eight_runs_at_once_bill_late_usage_once(seller, queued):
    sell(seller, PER_CALL, months=9)
    bill(seller.tenant, APRIL)
    seller.count(*(things(n, 10) for n in range(5)))
    accept_all(seller.tenant)
    periods = SubscriptionPeriod.objects.filter(
        subscription__customer__external_id="buyer", start_at__gte=APRIL
    )
    period_ids = list(periods.order_by("start_at").values_list("id", flat=True))
    runs = [BillRunFactory(tenant=seller.tenant, auto_finalize=True) for _ in period_ids]
    later = APRIL + timedelta(days=365)

    def work(index):
        return bill_periods(run=runs[index], period_ids=[period_ids[index]], now=later)

    assert in_threads(8, work) == [1] * 8
    lines = InvoiceLine.objects.filter(period_start_at__isnull=False)
    assert [str(line.amount) for line in lines] == ["1.0000"]
    total = RunningTotal.objects.get(id=lines.get().spans.get().running_total_id)
    assert total.billed_position == total.position == 5
    assert_all_is_proven(seller)


def test_what_is_rolled_back_is_billed_again(seller, queued, monkeypatch):
    sell(seller, PER_CALL)
    bill(seller.tenant, APRIL)
    seller.count(things(1, 10))
    accept_all(seller.tenant)
    monkeypatch.setattr("billing.services.grace.issue_drafts", _killed)
    run = create_run(
        tenant=seller.tenant, window_start=APRIL, window_end=MAY, auto_finalize=True,
        actor=ACTOR, now=MAY,
    )  # fmt: skip
    period = SubscriptionPeriod.objects.get(end_at=MAY, subscription__customer__external_id="buyer")
    with pytest.raises(KeyboardInterrupt):
        bill_periods(run=run, period_ids=[period.id], now=MAY)
    assert RunningTotal.objects.filter(position__gt=F("billed_position")).count() == 1
    monkeypatch.undo()
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=MAY)
    carry_out(run, MAY)
    assert [
        str(one.amount) for one in InvoiceLine.objects.filter(period_start_at__isnull=False)
    ] == ["0.2000"]
    assert_all_is_proven(seller)


def _killed(*args, **kwargs):
    raise KeyboardInterrupt
