from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection

from billing.invariants import TRUTHS, broken_truths, check_and_log
from billing.models import Invoice
from billing.services.invoices import bill_periods
from metering.models import RatingAdjustment, Receipt, UniqueValue
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)
GRADUATED = {
    "model": "GRADUATED",
    "tiers": [{"tierEnd": "100", "unitPrice": "0.03"}, {"tierEnd": -1, "unitPrice": "0.025"}],
}


def billed(price=GRADUATED, *, quantities=("60.5", 50, 40), **fields):
    period, (unit,) = priced_subscription(price, **{"aggregation": "SUM", **fields})
    meter(period, unit, quantities)
    run = bill_run(period.tenant, auto_finalize=True, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def change(sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, parameters)
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("aggregation", ["COUNT", "SUM", "MAX"])
def test_all_truths_hold_for_what_was_billed(full, aggregation):
    billed(aggregation=aggregation)
    billed(
        {"model": "FLAT_RATE", "flatRate": "31"},
        base_fee="10",
        minimum_spend="100",
        discount_percent="5",
        start_at=datetime(2026, 3, 16, tzinfo=UTC),
    )
    assert broken_truths(full=full) == {}


CHANGES = {
    "UPDATE receipts SET event_count = event_count + 1, unbilled = 1": {
        "every received event is in exactly one place"
    },
    'DELETE FROM usage_events WHERE "position" = 3': {
        "every received event is in exactly one place",
        "running total = aggregate of its events",
        "the digest of a total chains all of its events",
    },
    'UPDATE usage_events SET cost = 1 WHERE "position" = 1': {
        "running total = aggregate of its events",
        "the digest of a total chains all of its events",
    },
    'UPDATE usage_events SET metadata = NULL WHERE "position" = 1': {
        "the digest of a total chains all of its events",
    },
    "UPDATE running_totals SET revenue = revenue + 0.000000000001": {
        "running total = aggregate of its events",
        "charge(0) + marginals + adjustments = price of the total",
    },
    "UPDATE running_totals SET digest = sha256('x')": {
        "the digest of a total chains all of its events",
    },
    "UPDATE running_totals SET billed_position = NULL, billed_quantity = NULL,"
    " billed_event_count = NULL, billed_revenue = NULL": {
        "what is billed is below the watermark of its total",
    },
    "UPDATE invoice_lines SET amount = amount + 1": {"invoice total = sum of its lines"},
    "UPDATE invoice_lines SET exact_amount = 0": {
        "usage line = price of its span, under published terms"
    },
    "UPDATE invoice_lines SET quantity = 0": {
        "usage line = price of its span, under published terms"
    },
    'UPDATE unit_prices SET terms = \'{"model": "FLAT_RATE", "flatRate": "1"}\'': {
        "usage line = price of its span, under published terms",
        "charge(0) + marginals + adjustments = price of the total",
    },
    "UPDATE bill_run_event_index SET revenue = 0": {
        "usage line = price of its span, under published terms"
    },
    "UPDATE billing_entities SET next_invoice_number = 3": {"invoice numbers have no gaps"},
    "UPDATE invoices SET number = 'INV-2026-0002'": {"invoice numbers have no gaps"},
}


@pytest.mark.parametrize("sql", CHANGES)
def test_a_change_breaks_the_truths_it_breaks(sql):
    billed()
    change(sql)
    broken = broken_truths(full=True)
    assert set(broken) == CHANGES[sql]
    assert set(broken) <= set(TRUTHS)


def test_a_guard_that_sleeps_is_named():
    change("ALTER TABLE invoices DISABLE TRIGGER USER")
    (violations,) = broken_truths().values()
    assert [violation.subject for violation in violations] == ["table invoices"]


def test_an_adjustment_is_part_of_the_price():
    invoice = billed()
    total_id = invoice.lines.get().spans.get().running_total_id
    RatingAdjustment.objects.create(
        tenant_id=invoice.tenant_id,
        running_total_id=total_id,
        amount=Decimal(1),
        reason="a grant",
        created_at=NOW,
    )
    assert list(broken_truths()) == ["charge(0) + marginals + adjustments = price of the total"]


def test_unique_totals_are_compared_with_their_values():
    invoice = billed(aggregation="UNIQUE", quantities=())
    total_id = invoice.lines.get().spans.get().running_total_id
    UniqueValue.objects.create(running_total_id=total_id, value=invoice.id)
    assert list(broken_truths()) == ["running total = aggregate of its events"]


def test_a_truth_of_one_tenant_is_checked_for_it_alone():
    billed()
    change("DELETE FROM receipts")
    assert broken_truths(tenant_id=TenantFactory().id) == {}


def test_violations_are_counted_and_logged(caplog):
    billed()
    Receipt.objects.all().delete()
    assert check_and_log() == 1
    assert "truth_broken" in caplog.text
