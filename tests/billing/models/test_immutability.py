from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from billing.services.invoices import bill_periods
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)


def billed(*, auto_finalize=True):
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "2"})
    meter(period, unit, [1])
    run = bill_run(period.tenant, auto_finalize=auto_finalize, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def execute(sql):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.rowcount


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE invoices SET total = total + 1, subtotal = subtotal + 1",
        "UPDATE invoices SET number = 'INV-2026-0002'",
        "UPDATE invoices SET issued_at = issued_at + interval '1 day'",
        "UPDATE invoices SET buyer = '{}'",
        "UPDATE invoices SET digest = ''",
        "UPDATE invoices SET status = 'DRAFT'",
        "DELETE FROM invoices",
        "UPDATE invoice_lines SET amount = 0",
        "DELETE FROM invoice_lines",
        "INSERT INTO invoice_lines SELECT * FROM invoice_lines",
        "UPDATE bill_run_event_index SET last_position = 9",
        "DELETE FROM bill_run_event_index",
        "INSERT INTO bill_run_event_index SELECT * FROM bill_run_event_index",
        "UPDATE stage_records SET stages = '[]'",
        "DELETE FROM stage_records",
    ],
)
def test_the_database_refuses_to_change_an_issued_invoice(sql):
    invoice = billed()
    before = Invoice.objects.filter(pk=invoice.pk).values().get()
    with pytest.raises(DatabaseError):
        execute(sql)
    assert Invoice.objects.filter(pk=invoice.pk).values().get() == before
    assert InvoiceLine.objects.count() == BillRunEventIndex.objects.count() == 1


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE invoices SET status = 'PAID', paid_at = now()",
        "UPDATE invoices SET status = 'OVERDUE'",
        "UPDATE invoices SET status = 'VOID'",
    ],
)
def test_what_becomes_of_an_issued_invoice_may_be_told(sql):
    billed()
    assert execute(sql) == 1


def test_a_draft_may_be_changed_and_deleted():
    invoice = billed(auto_finalize=False)
    assert execute("UPDATE invoice_lines SET description = 'x'") == 1
    invoice.delete()
    assert not BillRunEventIndex.objects.exists()


def test_one_period_has_one_invoice_that_is_not_void():
    invoice = billed()
    twin = Invoice.objects.get(pk=invoice.pk)
    twin.pk, twin.number, twin.status, twin.issued_at = None, None, "DRAFT", None
    with pytest.raises(IntegrityError, match="period_is_billed_once"), transaction.atomic():
        twin.save(force_insert=True)
    execute("UPDATE invoices SET status = 'VOID'")
    twin.save(force_insert=True)
    assert Invoice.objects.count() == 2
