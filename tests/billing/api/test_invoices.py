import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.tenancy.models import AuditEntry
from billing.models import Invoice
from billing.services.invoices import bill_periods
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.clients import operator_client
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db
INVOICES = "/api/v1/invoices"
NOW = datetime(2026, 4, 2, tzinfo=UTC)
PER_TOKEN = {"model": "PER_UNIT", "rate": "0.000015"}


def billed(*, auto_finalize=True, **tenant):
    period, (unit,) = priced_subscription(PER_TOKEN, aggregation="SUM", base_fee="49", **tenant)
    meter(period, unit, [46_666, 1])
    run = bill_run(period.tenant, auto_finalize=auto_finalize, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def test_an_invoice_is_explained_down_to_its_events():
    invoice = billed()
    answer = operator_client(invoice.tenant).get(f"{INVOICES}/{invoice.id}").json()
    assert (answer["number"], answer["status"]) == ("INV-2026-0001", "OPEN")
    assert (answer["subtotal"], answer["total"]) == ("49.70", "49.70")
    fee, usage = answer["lines"]
    assert (fee["type"], fee["amount"], fee["spans"]) == ("CHARGE", "49.00", [])
    assert (usage["quantity"], usage["exactAmount"]) == ("46667", "0.700005")
    assert usage["charges"][0]["unitPrice"] == "0.000015"
    (span,) = usage["spans"]
    assert (span["firstPosition"], span["lastPosition"], span["eventCount"]) == (1, 2, 2)
    assert re.fullmatch("[0-9a-f]{64}", span["digest"])
    assert len(answer["stages"]) == 10
    assert answer["buyer"]["externalId"] == invoice.customer.external_id
    assert answer["data"]["id"] == answer["id"]


def test_amounts_have_the_minor_units_of_their_currency():
    invoice = billed()
    listed = operator_client(invoice.tenant).get(INVOICES).json()
    assert listed["content"][0]["discountTotal"] == "0.00"
    assert "lines" not in listed["content"][0]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("status=OPEN", 1),
        ("status=DRAFT", 0),
        ("customerId={customer}", 1),
        ("customerId={external}", 1),
        ("customerId=nobody", 0),
        ("subscriptionId={subscription}", 1),
        ("billingPeriodStart=2026-03-01T00:00:00Z&billingPeriodEnd=2026-04-01T00:00:00Z", 1),
        ("billingPeriodStart=2026-04-01T00:00:00Z", 0),
        ("number=INV-2026-0001", 1),
    ],
)
def test_invoices_are_filtered(query, count):
    invoice = billed()
    wanted = query.format(
        customer=invoice.customer_id,
        external=invoice.customer.external_id,
        subscription=invoice.subscription_id,
    )
    answer = operator_client(invoice.tenant).get(f"{INVOICES}?{wanted}").json()
    assert answer["totalElements"] == count


def test_a_draft_is_finalized_once():
    invoice = billed(auto_finalize=False)
    client = operator_client(invoice.tenant)
    answers = [client.post(f"{INVOICES}/{invoice.id}/finalize").json() for _ in range(2)]
    assert [answer["number"] for answer in answers] == ["INV-2026-0001"] * 2
    assert answers[0]["status"] == "OPEN"
    assert AuditEntry.objects.filter(action="INVOICE_FINALIZED").count() == 1


def test_an_invoice_is_a_pdf_whatever_the_client_accepts():
    invoice = billed()
    client = operator_client(invoice.tenant)
    answer = client.get(f"{INVOICES}/{invoice.id}/pdf", HTTP_ACCEPT="application/pdf")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert "INV-2026-0001.pdf" in answer["Content-Disposition"]


def test_an_invoice_is_a_page_that_loads_nothing():
    invoice = billed()
    answer = operator_client(invoice.tenant).get(f"{INVOICES}/{invoice.id}/html")
    assert answer["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "INV-2026-0001" in answer.content.decode()


@pytest.mark.parametrize("path", ["", "/pdf", "/html", "/finalize"])
def test_another_tenants_invoice_is_not_there(path):
    invoice = billed(auto_finalize=False)
    stranger = operator_client(TenantFactory())
    call = stranger.post if path == "/finalize" else stranger.get
    assert call(f"{INVOICES}/{invoice.id}{path}").status_code == 404
    assert stranger.get(INVOICES).json()["totalElements"] == 0
    invoice.refresh_from_db()
    assert invoice.status == "DRAFT"


def test_statements_do_not_grow_with_lines():
    counts = []
    for units in (1, 6):
        period, _ = priced_subscription(*[PER_TOKEN] * units)
        run = bill_run(period.tenant, status="COMPLETED")
        bill_periods(run=run, period_ids=[period.id], now=NOW)
        invoice = Invoice.objects.get(period=period)
        client = operator_client(period.tenant)
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"{INVOICES}/{invoice.id}").json()
        assert len(answer["lines"]) == units
        counts.append(len(queries))
    assert counts[0] == counts[1]
