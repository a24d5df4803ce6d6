"""From events over HTTP to invoices that are proven: doors, drain, bill run, verification."""

import pytest

from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import BillRunEventIndex, BillRunItem, Invoice
from billing.services import bill_pages
from billing.services.bill_runs import advance_run, create_run, execute_run
from billing.services.invoices import bill_periods
from billing.verification import verify_invoice
from catalog.models import BillableUnit, RatePlanVersion, SubscriptionPeriod
from metering.models import HeldEvent, RunningTotal, UsageEvent
from metering.selectors.accounts import account_of
from metering.services import partitions
from metering.services.ingest import drain_once
from tests.billing.build import APRIL, bill_run
from tests.factories import MONTH_START, BillableUnitFactory, RatePlanVersionFactory
from tests.metering import conftest
from tests.metering.conftest import subscribe
from tests.metering.events import event
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("tests")
seller, no_wakes, fresh_process = conftest.seller, conftest.no_wakes, conftest.fresh_process


def bill_march(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(clock_frozen_at=APRIL)
    run = create_run(
        tenant=tenant,
        window_start=MONTH_START,
        window_end=APRIL,
        auto_finalize=True,
        actor=ACTOR,
        now=APRIL,
    )
    execute_run(run=run, actor=ACTOR, now=APRIL)
    advance_run(run_id=run.id, now=APRIL)
    for page in BillRunItem.objects.filter(run=run).values_list("page", flat=True).distinct():
        bill_pages.bill_page(run_id=run.id, page=page, now=APRIL)
    run.refresh_from_db()
    return run


def test_traffic_becomes_invoices_that_are_proven(seller, queued):
    partitions.make_around([APRIL])
    seller.count(
        *(event(number, metricName="calls") for number in range(30)),
        *(event(100 + n, metricName="tokens", quantity=f"{n}.5") for n in range(40)),
        event(0, metricName="calls"),
        event(500, metricName="nobody_knows"),
        event(501, customerId="nobody"),
    )
    seller.count(event(7, metricName="calls"), event(999, metricName="calls"))
    assert bill_march(seller.tenant).status == "COMPLETED"
    invoice = Invoice.objects.get()
    assert str(invoice.total) == "8.6200"  # 31 calls at 0.02, 800 tokens at 0.01
    assert verify_invoice(invoice).broken == ()
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
    account = account_of(seller.tenant.id)
    assert (account.received, account.counted, account.duplicates, account.dead) == (75, 71, 2, 2)


def test_every_aggregation_is_proven_from_what_the_drain_stored(seller, queued):
    partitions.make_around([APRIL])
    tenant = seller.tenant
    users = BillableUnitFactory(
        tenant=tenant, name="users", aggregation="UNIQUE", event_field="user"
    )
    peak = BillableUnitFactory(tenant=tenant, name="peak", aggregation="MAX")
    agents = BillableUnitFactory(
        tenant=tenant,
        name="agents",
        aggregation="UNIQUE",
        event_field="agentId",
        source_metric="peak",
    )
    prices = {unit: {"model": "PER_UNIT", "rate": "0.30"} for unit in (users, peak, agents)}
    version = RatePlanVersionFactory(tenant=tenant, prices=prices, published=True)
    subscribe(tenant, "cust_2", version)
    seller.count(
        *(
            event(n, customerId="cust_2", metricName="users", metadata={"user": n % 3})
            for n in range(10)
        ),
        *(
            event(100 + n, customerId="cust_2", metricName="peak", quantity=n % 7, agentId=f"a{n}")
            for n in range(10)
        ),
    )
    bill_march(tenant)
    invoice = Invoice.objects.get(customer__external_id="cust_2")
    names = dict(BillableUnit.objects.values_list("id", "name"))
    quantities = {names[line.unit_id]: str(line.quantity) for line in invoice.lines.all()}
    assert quantities == {"users": "3", "peak": "6", "agents": "10"}
    assert verify_invoice(invoice).broken == ()
    assert broken_truths(tenant_id=tenant.id, full=True) == {}


def test_an_event_that_is_drained_after_billing_is_held(seller, queued):
    partitions.make_around([APRIL])
    seller.count(event(1))
    bill_march(seller.tenant)
    before = RunningTotal.objects.order_by("id").values()[:]
    seller.count(event(2, occurredAt="2026-03-20T00:00:00Z"))
    assert HeldEvent.objects.count() == 1
    assert list(RunningTotal.objects.order_by("id").values()) == list(before)
    assert UsageEvent.objects.count() == 1
    assert account_of(seller.tenant.id).held == 1
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
    assert bill_march(seller.tenant).items.count() == 0


def test_a_unit_without_events_is_billed_and_its_late_events_are_held(seller, queued):
    partitions.make_around([APRIL])
    bill_march(seller.tenant)
    assert {span.last_position for span in BillRunEventIndex.objects.all()} == {0}
    seller.count(event(2, occurredAt="2026-03-20T00:00:00Z"))
    assert HeldEvent.objects.count() == 1
    assert UsageEvent.objects.count() == 0


def test_a_new_version_leaves_pinned_subscriptions_as_they_are(seller, queued):
    partitions.make_around([APRIL])
    seller.count(event(1))
    old = RatePlanVersion.objects.get(tenant=seller.tenant)
    unit = BillableUnit.objects.get(name="calls")
    RatePlanVersionFactory(
        tenant=seller.tenant,
        rate_plan=old.rate_plan,
        number=2,
        prices={unit: {"model": "PER_UNIT", "rate": "99"}},
        published=True,
    )
    bill_march(seller.tenant)
    assert str(Invoice.objects.get().total) == "0.0200"


@pytest.mark.django_db(transaction=True)
def test_drains_that_race_with_billing_count_or_hold_each_event(seller, queued):
    partitions.make_around([APRIL])
    for batch in range(40):
        seller.send(
            *(event(batch * 10 + n, metricName=("calls", "tokens")[n % 2]) for n in range(10))
        )
    period = SubscriptionPeriod.objects.get(end_at=APRIL)
    run = bill_run(seller.tenant, auto_finalize=True)

    def work(index):
        if index == 0:
            return bill_periods(run=run, period_ids=[period.id], now=APRIL)
        drained = 0
        while count := drain_once(shard=0, shards=1, now=APRIL, limit=20):
            drained += count
        return drained

    billed, *drained = in_threads(4, work)
    assert (billed, sum(drained)) == (1, 400)
    account = account_of(seller.tenant.id)
    assert account.counted + account.held == 400
    assert verify_invoice(Invoice.objects.get()).broken == ()
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
