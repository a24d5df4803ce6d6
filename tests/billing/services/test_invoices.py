from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from billing.services.invoices import bill_periods
from metering.models import RunningTotal
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)


def bill(period, **fields):
    run = bill_run(period.tenant, **fields)
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def test_usage_and_base_fee_become_lines():
    period, (unit,) = priced_subscription(
        {"model": "PER_UNIT", "rate": "0.015"}, aggregation="SUM", base_fee="49.00"
    )
    meter(period, unit, [100, 200, 33])
    invoice = bill(period, auto_finalize=True)
    amounts = [(line.type, line.amount) for line in invoice.lines.order_by("position")]
    assert amounts == [("CHARGE", Decimal("49.0000")), ("USAGE_FEE", Decimal("5.0000"))]
    assert invoice.total == Decimal("54.00")


def test_a_line_copies_quantity_charges_and_terms():
    terms = {"model": "INCLUDED_QUOTA", "includedFree": "10", "rate": "0.50"}
    period, (unit,) = priced_subscription(terms, aggregation="SUM")
    meter(period, unit, ["12.5"])
    line = bill(period).lines.get()
    assert line.quantity == Decimal("12.5")
    assert line.exact_amount == Decimal("1.25")
    assert line.terms["includedFree"] == "10"
    assert [charge["amount"] for charge in line.charges] == ["0", "1.25"]


def test_every_priced_unit_gets_a_line_and_a_total_even_without_events():
    period, units = priced_subscription(
        {"model": "FLAT_RATE", "flatRate": "7"}, {"model": "PER_UNIT", "rate": "1"}
    )
    invoice = bill(period)
    assert invoice.total == Decimal(7)
    assert InvoiceLine.objects.filter(invoice=invoice).count() == 2
    assert RunningTotal.objects.filter(period_id=period.id, billed_position=0).count() == 2
    spans = BillRunEventIndex.objects.filter(line__invoice=invoice)
    assert {(span.first_position, span.last_position) for span in spans} == {(1, 0)}
    assert len(units) == 2


def test_a_span_names_the_events_behind_its_line():
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "1"}, aggregation="SUM")
    total = meter(period, unit, [1, 2, 3])
    span = BillRunEventIndex.objects.get(line__invoice=bill(period))
    assert (span.running_total_id, span.first_position, span.last_position) == (total.id, 1, 3)
    assert (span.event_count, span.quantity, span.revenue) == (3, Decimal(6), Decimal(6))
    assert bytes(span.digest) == total.digest


def test_billing_stamps_the_watermark_of_each_total():
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    total = meter(period, unit, [1, 1])
    bill(period)
    total.refresh_from_db()
    assert total.billed_position == 2


def test_a_draft_has_no_number_and_says_so_in_its_record():
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    invoice = bill(period, auto_finalize=False)
    assert (invoice.status, invoice.number, invoice.issued_at) == ("DRAFT", None, None)
    stages = [record["stage"] for record in invoice.stage_record.stages]
    assert stages == [
        "QuotaCheck", "Rollover", "Aggregate", "Allowance", "Rate",
        "Commit", "Discount", "Tax", "Route", "Settle",
    ]  # fmt: skip


def test_an_issued_invoice_has_number_and_dates():
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    invoice = bill(period, auto_finalize=True)
    assert (invoice.status, invoice.number) == ("OPEN", "INV-2026-0001")
    assert invoice.issued_at == NOW
    assert invoice.due_at == datetime(2026, 4, 16, tzinfo=UTC)


def test_parties_are_copied_as_they_were():
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    customer = period.subscription.customer
    invoice = bill(period)
    customer.name = "Somebody else"
    customer.save()
    invoice.refresh_from_db()
    assert invoice.buyer["externalId"] == customer.external_id
    assert invoice.buyer["name"] == ""
    assert invoice.seller["legalName"] == period.subscription.billing_entity.legal_name


def test_billing_again_makes_nothing():
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    first = bill(period)
    assert bill_periods(run=first.bill_run, period_ids=[period.id], now=NOW) == 0
    assert Invoice.objects.get() == first


def test_a_first_partial_period_owes_its_share_of_fees_and_flat_rates():
    period, _ = priced_subscription(
        {"model": "FLAT_RATE", "flatRate": "31"},
        base_fee="62",
        start_at=datetime(2026, 3, 16, tzinfo=UTC),
    )
    invoice = bill(period)
    assert [line.amount for line in invoice.lines.all()] == [Decimal(32), Decimal(16)]
    assert Decimal(invoice.lines.get(type="USAGE_FEE").terms["flatRate"]) == Decimal(16)


def test_statements_do_not_grow_with_periods():
    counts = []
    for customers in (1, 200):
        periods = [priced_subscription({"model": "PER_UNIT", "rate": "1"}, tenant=None)[0]]
        tenant = periods[0].tenant
        version = periods[0].subscription.plans.get().version
        periods += [
            priced_subscription(tenant=tenant, version=version)[0] for _ in range(customers - 1)
        ]
        run = bill_run(tenant, auto_finalize=True)
        with CaptureQueriesContext(connection) as queries:
            bill_periods(run=run, period_ids=[period.id for period in periods], now=NOW)
        assert Invoice.objects.filter(bill_run=run).count() == customers
        counts.append(len(queries))
    assert counts[0] == counts[1]
