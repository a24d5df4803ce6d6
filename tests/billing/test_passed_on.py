"""Included units that rolled over are not free again for late usage of their own period."""

import io
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aforo.tenancy.models import Tenant
from billing.exports.audit import audit_export
from billing.invariants import broken_truths
from billing.models import RolloverGrant
from billing.services.regenerating import regenerate_invoice
from billing.services.voiding import void_invoice
from billing.verification import verify_invoice
from catalog.models import BillableUnit, SubscriptionPeriod, SubscriptionPlan, UnitPrice
from metering.models import RatingAdjustment, RunningTotal
from metering.recount import recount
from tests.billing.exports.test_audit_export import verified
from tests.billing.test_late_usage import (
    ACTOR,
    APRIL,
    MAY,
    accept_all,
    adjusted,
    bill,
    fresh_process,
    months,
    no_wakes,
    seller,
    things,
)
from tests.factories import MONTH_START, BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import catalog_changed, subscribe

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db
QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": 100, "rate": "0.10"}
IN_APRIL = "2026-04-10T00:00:00Z"
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def sell_quota(seller, periods=1, months=3, **price):
    unit = BillableUnitFactory(tenant=seller.tenant, name="things", aggregation="SUM")
    version = RatePlanVersionFactory(tenant=seller.tenant, prices={unit: QUOTA})
    UnitPrice.objects.filter(version=version).update(rollover_periods=periods, **price)
    type(version).objects.filter(pk=version.pk).update(status="PUBLISHED", published_at=MONTH_START)
    return subscribe(seller.tenant, "buyer", version, months=months)


def use_in_april(seller, *events):
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=IN_APRIL)
    catalog_changed(seller.tenant)
    seller.count(*events)


def total_at(start):
    period = SubscriptionPeriod.objects.get(
        start_at=start, subscription__customer__external_id="buyer"
    )
    return RunningTotal.objects.get(period_id=period.pk)


def holds(seller, *invoices):
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
    for invoice in invoices:
        assert verify_invoice(invoice).broken == ()


def test_late_usage_pays_for_units_that_have_rolled_over(seller, queued):
    sell_quota(seller)
    seller.count(things(1, 20))
    (march,) = bill(seller.tenant, APRIL)
    assert str(RolloverGrant.objects.get().units) == "80"
    total = total_at(MONTH_START)
    assert (total.rollover, total.passed_on) == (Decimal(-80), Decimal(80))
    seller.count(things(2, 50))  # 70 of 100 in March, but 80 of them are April's
    accept_all(seller.tenant)
    use_in_april(seller, things(3, 180, occurredAt=IN_APRIL))
    assert (total_at(APRIL).quantity, total_at(APRIL).revenue) == (180, 0)
    (april,) = bill(seller.tenant, MAY, start=APRIL)
    assert [str(line.amount) for line in adjusted(april)] == ["5.0000"]
    assert (march.total, april.total) == (0, 5)
    holds(seller, march, april)


def test_it_uses_what_a_cap_did_not_let_go_on(seller, queued):
    sell_quota(seller, rollover_cap=30)
    seller.count(things(1, 20))
    bill(seller.tenant, APRIL)
    seller.count(things(2, 60))  # 100 - 30 granted: 70 are free, 20 of them used
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY, start=APRIL)
    assert [str(line.amount) for line in adjusted(april)] == ["1.0000"]
    holds(seller, april)


def test_older_units_that_go_on_are_not_free_either(seller, queued):
    sell_quota(seller, periods=3)
    (march,) = bill(seller.tenant, APRIL)  # nothing used: 100 for April, May and June
    use_in_april(seller, things(1, 50, occurredAt=IN_APRIL))
    (april,) = bill(seller.tenant, MAY, start=APRIL)
    assert (total_at(MAY).rollover, total_at(APRIL).passed_on) == (150, 150)
    seller.count(things(2, 7, occurredAt=IN_APRIL))
    accept_all(seller.tenant, now=MAY)
    (may,) = bill(seller.tenant, JUNE, start=MAY)
    assert [str(line.amount) for line in adjusted(may)] == ["0.7000"]
    holds(seller, march, april, may)


def test_what_is_billed_anew_has_all_of_its_units_again(seller, queued):
    sell_quota(seller)
    seller.count(things(1, 20))
    (march,) = bill(seller.tenant, APRIL)
    seller.count(things(2, 50))
    accept_all(seller.tenant)
    void_invoice(invoice=march, reason="wrong", actor=ACTOR, now=APRIL)
    total = total_at(MONTH_START)
    assert (total.rollover, total.passed_on) == (0, 0)
    assert [str(one.amount) for one in RatingAdjustment.objects.filter(running_total=total)] == [
        "0",
        "-5.0",
    ]
    holds(seller)
    again = regenerate_invoice(invoice=march, actor=ACTOR, now=APRIL, finalize=True)
    assert (again.total, RolloverGrant.objects.get().units) == (0, 30)
    assert (total_at(MONTH_START).passed_on, total_at(APRIL).rollover) == (30, 30)
    holds(seller, again)


def test_an_auditor_sees_by_what_late_usage_was_priced(seller, queued, tmp_path):
    sell_quota(seller)
    seller.count(things(1, 20))
    bill(seller.tenant, APRIL)
    seller.count(things(2, 50))
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY, start=APRIL)
    with zipfile.ZipFile(io.BytesIO(b"".join(audit_export(april)))) as archive:
        archive.extractall(tmp_path)
    said = verified(tmp_path)
    assert (said.returncode, said.stdout[:2]) == (0, "OK"), said.stdout
    assert {one.differences for one in recount(tenant=seller.tenant, month=MONTH_START)} == {()}


def test_the_check_finds_units_that_are_given_twice(seller, queued):
    sell_quota(seller)
    seller.count(things(1, 20))
    bill(seller.tenant, APRIL)
    RunningTotal.objects.filter(pk=total_at(MONTH_START).pk).update(
        rollover=0, quantity=70, passed_on=0
    )
    found = broken_truths(tenant_id=seller.tenant.id, full=True)
    (violation,) = found["units granted + used free <= allowance + units received"]
    assert violation.found == "80 units granted, 70 used free, of 100"


def change(seller, subscription, start, prices, **price):
    """Another plan from there on; of `things`, if it prices them, with these columns."""
    version = RatePlanVersionFactory(tenant=seller.tenant, prices=prices)
    UnitPrice.objects.filter(version=version).update(**price)
    type(version).objects.filter(pk=version.pk).update(status="PUBLISHED", published_at=MONTH_START)
    SubscriptionPlan.objects.filter(subscription=subscription).update(end_at=start)
    SubscriptionPlan.objects.create(
        tenant=seller.tenant, subscription=subscription, version=version, start_at=start, position=0
    )
    catalog_changed(seller.tenant)


@pytest.mark.parametrize(
    ("heir", "received"),
    [(None, []), ({}, [0]), ({"rollover_periods": 1, "rollover_cap": 10}, [10])],
    ids=["no price", "no rollover", "smaller cap"],
)
def test_units_that_nobody_takes_stay_free_where_they_came_from(seller, queued, heir, received):
    subscription = sell_quota(seller, periods=2)
    prices = {} if heir is None else {BillableUnit.objects.get(name="things"): QUOTA}
    change(seller, subscription, APRIL, prices, **heir or {})
    seller.count(things(1, 20))
    (march,) = bill(seller.tenant, APRIL)
    assert sum(RolloverGrant.objects.values_list("units", flat=True)) == sum(received)
    assert total_at(MONTH_START).passed_on == sum(received)
    seller.count(things(2, 50))  # 20 + 50 of 100: free, unless somebody else has them
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY, start=APRIL)
    assert ([str(line.amount) for line in adjusted(april)], april.total) == (["0.0000"], 0)
    totals = RunningTotal.objects.filter(period_id=april.period_id)
    assert [one.rollover + one.passed_on for one in totals] == received
    holds(seller, march, april)


def test_what_a_smaller_cap_keeps_back_of_older_units_has_lapsed(seller, queued):
    subscription = sell_quota(seller, periods=3)
    prices = {BillableUnit.objects.get(name="things"): QUOTA}
    change(seller, subscription, MAY, prices, rollover_periods=3, rollover_cap=30)
    (march,) = bill(seller.tenant, APRIL)  # 100 go on
    (april,) = bill(seller.tenant, MAY, start=APRIL)
    assert (total_at(APRIL).rollover, total_at(APRIL).passed_on) == (70, 30)
    assert (total_at(MAY).rollover, RolloverGrant.objects.count()) == (30, 1)
    use_in_april(seller, things(1, 175, occurredAt=IN_APRIL))  # 100 + 100 - 30 are free
    accept_all(seller.tenant, now=MAY)
    (may,) = bill(seller.tenant, JUNE, start=MAY)
    assert [str(line.amount) for line in adjusted(may)] == ["0.5000"]
    holds(seller, march, april, may)


def test_the_check_finds_units_that_nobody_received(seller, queued):
    sell_quota(seller)
    bill(seller.tenant, APRIL)
    RunningTotal.objects.filter(pk=total_at(APRIL).pk).update(rollover=70)
    found = broken_truths(tenant_id=seller.tenant.id, full=True)
    (violation,) = found["units that went on = units received"]
    assert violation.found == "100 units of things went on, 70 were received"
