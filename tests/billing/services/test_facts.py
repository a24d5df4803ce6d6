"""What invoices are made of is read set by set, and what they leave to others is written."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import CouponUse, Invoice, RolloverGrant, RolloverUse
from billing.services.facts import facts_for
from billing.services.invoices import bill_periods
from billing.verification import verify_invoice
from catalog.models import RatePlanVersion, VersionCurrency
from metering.models import RunningTotal
from tests.billing.build import APRIL, bill_run, tenant_entity
from tests.billing.metered import meter
from tests.factories import (
    MONTH_START,
    NOW,
    BillableUnitFactory,
    ContractFactory,
    CouponFactory,
    CouponRedemptionFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
    UnitPriceFactory,
)

pytestmark = pytest.mark.django_db
LATER = datetime(2026, 5, 2, tzinfo=UTC)
QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": "100", "rate": "1"}
BY_MODEL = {"model": "PER_UNIT", "rate": "1", "groupBy": ["model"]}
FLAT = {"model": "FLAT_RATE", "flatRate": "20"}
SMALL, LARGE = '{"model":"large"}', '{"model":"small"}'


def subscribed(
    *rows, tenant=None, currency="USD", unit=None, start_at=MONTH_START, months=2, **fees
):
    """March and April of a new subscription, and one unit per price row."""
    tenant = tenant or TenantFactory()
    units = [BillableUnitFactory(tenant=tenant, **(unit or {})) for _ in rows]
    version = RatePlanVersionFactory(tenant=tenant, **fees)
    for counted, row in zip(units, rows, strict=True):
        UnitPriceFactory(version=version, unit=counted, **row)
    if currency != "USD":
        VersionCurrency.objects.create(
            tenant=tenant, version=version, currency=currency, base_fee=Decimal(7)
        )
    version.status, version.published_at = RatePlanVersion.Status.PUBLISHED, NOW
    version.save()
    subscription = SubscriptionFactory(
        tenant=tenant,
        billing_entity=tenant_entity(tenant),
        versions=[version],
        currency=currency,
        start_at=start_at,
        months=months,
    )
    return list(subscription.periods.order_by("start_at")), units


def billed(*periods, now=LATER):
    """The invoices of these periods, in the order in which they were made."""
    tenant = periods[0].tenant
    run = bill_run(tenant, auto_finalize=True, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id for period in periods], now=now)
    made = Invoice.objects.for_tenant(tenant).filter(bill_run=run)
    return list(made.order_by("period__start_at", "created_at", "id"))


def shown(invoice):
    return [(line.description, str(line.amount)) for line in invoice.lines.order_by("position")]


def holds(invoice):
    assert verify_invoice(invoice).broken == ()
    return True


def plan_of(period):
    return period.subscription.plans.get().version.rate_plan.name


def test_the_terms_of_a_contract_price_its_periods():
    (march, _), (unit,) = subscribed({"terms": QUOTA})
    agreed = ContractFactory(
        tenant=march.tenant,
        customer=march.subscription.customer,
        name="Deal",
        phases=[
            {
                "minimum_spend": 50,
                "discount_percent": 10,
                "prices": {unit: {"model": "PER_UNIT", "rate": "2"}},
            }
        ],
        agreed=True,
    )
    march.contract_phase = agreed.phases.get()
    march.save()
    meter(march, unit, [1] * 5, terms={"model": "PER_UNIT", "rate": "2"})
    (invoice,) = billed(march)
    assert shown(invoice) == [
        (f"{plan_of(march)}: {unit.name}", "10.0000"),
        ("Deal: true-up to minimum spend", "40.0000"),
        ("Deal: discount of 10 %", "-5.0000"),
    ]
    assert holds(invoice)


def test_the_minimum_of_a_term_counts_what_earlier_invoices_asked_for():
    (march, april), _ = subscribed({"terms": QUOTA}, base_fee=30)
    agreed = ContractFactory(
        tenant=march.tenant,
        customer=march.subscription.customer,
        name="Deal",
        start_at=march.start_at,
        end_at=april.end_at,
        minimum_spend=100,
        phases=[{}],
        agreed=True,
    )
    type(march).objects.filter(subscription=march.subscription).update(  # any tenant: its own
        contract_phase=agreed.phases.get()
    )
    billed(march)
    (invoice,) = billed(april)
    assert shown(invoice)[2:] == [("Deal: true-up to minimum spend of the term", "40.0000")]
    assert invoice.total == 70


def test_fees_and_prices_are_those_of_the_subscriptions_currency():
    (march, _), _ = subscribed({"terms": QUOTA}, currency="EUR", base_fee=10)
    (invoice,) = billed(march)
    assert shown(invoice)[0] == (f"{plan_of(march)}: base fee", "7.0000")
    assert invoice.currency == "EUR"


def test_each_dimension_is_a_line_that_is_proven():
    (march, _), (unit,) = subscribed({"terms": BY_MODEL, "group_by": ["model"]})
    meter(march, unit, [1] * 3, dimension=SMALL)
    meter(march, unit, [1] * 4, dimension=LARGE)
    (invoice,) = billed(march)
    assert [str(line.amount) for line in invoice.lines.order_by("position")] == [
        "3.0000",
        "4.0000",
    ]
    assert [line.dimension for line in invoice.lines.order_by("position")] == [SMALL, LARGE]
    assert holds(invoice)
    stamped = RunningTotal.objects.filter(period_id=march.id, billed_position=None)
    assert not stamped.exists()


def test_a_dimension_that_is_first_used_after_its_period_was_billed_is_billed_next():
    (march, april), (unit,) = subscribed({"terms": BY_MODEL, "group_by": ["model"]})
    meter(march, unit, [1] * 3, dimension=SMALL)
    billed(march)
    meter(march, unit, [1] * 4, dimension=LARGE)
    (invoice,) = billed(april)
    late = invoice.lines.get(period_start_at=march.start_at)
    assert (late.dimension, late.amount, late.spans.get().first_position) == (LARGE, 4, 1)
    assert holds(invoice)


@pytest.mark.parametrize("used_before", [True, False])
def test_unused_units_roll_over_whenever_the_next_period_is_used(used_before):
    (march, april), (unit,) = subscribed({"terms": QUOTA, "rollover_periods": 1})
    meter(march, unit, [1] * 20)
    if used_before:
        meter(april, unit, [1] * 190)
    billed(march)
    grant = RolloverGrant.objects.get()
    assert (grant.units, grant.expires_at, grant.period) == (80, april.end_at, march)
    if not used_before:
        meter(april, unit, [1] * 190)
    (invoice,) = billed(april)
    (line,) = invoice.lines.all()
    assert invoice.total == 10
    assert [charge["label"] for charge in line.charges] == [
        "rolled over from 2026-03-01, until 2026-05-01",
        "included",
        "overage",
    ]
    assert RolloverUse.objects.get().units == 80
    assert holds(invoice)
    assert RolloverGrant.objects.count() == 1  # April left nothing over


def test_units_live_on_for_several_periods_and_are_capped():
    (march, april, _), _ = subscribed(
        {"terms": QUOTA, "rollover_periods": 3, "rollover_cap_percent": 150}, months=3
    )
    billed(march)
    billed(april)
    grants = RolloverGrant.objects.order_by("period__start_at")
    assert [(grant.units, grant.expires_at.month) for grant in grants] == [(100, 7), (50, 8)]


def test_a_level_goes_on_in_the_next_period():
    seats = {"model": "PER_UNIT", "rate": "2"}
    (march, april), (unit,) = subscribed(
        {"terms": seats}, unit={"aggregation": "SUM", "recurring": True}
    )
    meter(march, unit, [5, 2, -1])
    assert [invoice.total for invoice in billed(march)] == [12]
    (invoice,) = billed(april)
    assert invoice.total == 12
    assert holds(invoice)


def test_an_estimate_is_made_exact_and_proven():
    (march, _), (unit,) = subscribed(
        {"terms": {"model": "PER_UNIT", "rate": "1"}}, unit={"aggregation": "PERCENTILE_95"}
    )
    meter(march, unit, [*range(1, 100), 5000])
    (invoice,) = billed(march)
    assert invoice.lines.get().quantity == 95
    assert holds(invoice)


def test_fees_in_advance_come_with_the_opening_and_then_one_period_ahead():
    (march, april), (_, flat) = subscribed(
        {"terms": {"model": "PER_UNIT", "rate": "1"}},
        {"terms": FLAT, "timing": "ADVANCE"},
        base_fee=30,
        setup_fee=9,
        base_fee_timing="ADVANCE",
    )
    (opening,) = billed(march, now=NOW)
    name = plan_of(march)
    ahead = [
        (f"{name}: base fee, in advance", "30.0000"),
        (f"{name}: {flat.name}, in advance", "20.0000"),
    ]
    assert opening.kind == Invoice.Kind.OPENING
    assert shown(opening) == [(f"{name}: setup fee", "9.0000"), *ahead]
    (invoice,) = billed(march)
    assert (f"{name}: {flat.name}, paid in advance", "0.0000") in shown(invoice)
    assert shown(invoice)[2:] == ahead
    (line,) = invoice.lines.filter(position=3)
    assert (line.covers_start_at, line.covers_end_at) == (april.start_at, april.end_at)
    assert holds(opening)
    assert holds(invoice)


def test_an_unused_part_of_a_fee_in_advance_is_given_back():
    (march, april), (unit,) = subscribed(
        {"terms": {"model": "PER_UNIT", "rate": "1"}}, base_fee=31, base_fee_timing="ADVANCE"
    )
    billed(march, now=NOW)
    april.delete()
    march.whole_end_at, march.end_at = march.end_at, datetime(2026, 3, 11, tzinfo=UTC)
    march.save()
    type(march.subscription).objects.filter(pk=march.subscription_id).update(  # any tenant: by id
        end_at=march.end_at
    )
    meter(march, unit, [1] * 50)
    (invoice,) = billed(march)
    assert shown(invoice)[1][1] == "-21.0000"
    assert invoice.total == 29
    assert holds(invoice)


def test_a_coupon_for_one_invoice_is_taken_off_the_earliest_and_spent():
    (march, april), _ = subscribed({"terms": QUOTA}, base_fee=30)
    coupon = CouponFactory(tenant=march.tenant, code="TENTH")
    CouponRedemptionFactory(coupon=coupon, customer=march.subscription.customer)
    first, second = billed(march, april)
    assert [first.total, second.total] == [27, 30]
    use = CouponUse.objects.get()
    assert (use.invoice, use.amount) == (first, 3)


def test_statements_do_not_grow_with_subscriptions():
    counts = []
    for several in (1, 3):
        tenant = TenantFactory()
        periods = []
        for _ in range(several):
            (march, _), (unit,) = subscribed(
                {"terms": QUOTA, "rollover_periods": 2},
                tenant=tenant,
                base_fee=30,
                base_fee_timing="ADVANCE",
            )
            meter(march, unit, [1] * 3)
            periods.append(march)
        with CaptureQueriesContext(connection) as queries:
            billed(*periods, now=LATER)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_days_are_counted_where_the_plan_prorates_by_them():
    (march, _), _ = subscribed(
        {"terms": FLAT},
        base_fee=31,
        proration="DAY",
        start_at=datetime(2026, 3, 22, 12, tzinfo=UTC),
    )
    (invoice,) = billed(march)
    clause = "prorated to 10 of 31 days"
    assert shown(invoice)[0] == (f"{plan_of(march)}: base fee, {clause}", "10.0000")
    assert shown(invoice)[1][1] == "6.4500"
    assert holds(invoice)


def test_facts_of_a_period_are_read_alone():
    (march, _), _ = subscribed({"terms": QUOTA}, base_fee=30)
    facts = facts_for(tenant_id=march.tenant_id, periods=[march], auto_finalize=False, now=APRIL)[
        march.id
    ]
    assert (facts.is_first, facts.days, facts.whole_days) == (True, 31, 31)
    assert facts.advance is None
