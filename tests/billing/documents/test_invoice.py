"""The document of stored rows."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.documents import Branding, DocumentCharge, DocumentLine, Party, document_of
from billing.models import BillRun, BillRunEventIndex, Invoice, InvoiceLine
from tests.factories import NOW, SubscriptionFactory

pytestmark = pytest.mark.django_db

PERIOD = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


def stored(**fields):
    """A stored draft invoice over 12.50 without lines."""
    subscription = SubscriptionFactory(months=1)
    tenant = subscription.tenant
    run = BillRun.objects.create(
        tenant=tenant, window_start=PERIOD[0], window_end=PERIOD[1], created_at=NOW
    )
    amounts = dict.fromkeys(("discount_total", "tax_total"), 0) | dict.fromkeys(
        ("subtotal", "total"), Decimal("12.5000")
    )
    smallest = amounts | {
        "tenant": tenant,
        "customer": subscription.customer,
        "subscription": subscription,
        "period": subscription.periods.get(),
        "billing_entity": subscription.billing_entity,
        "bill_run": run,
        "currency": "USD",
        "period_start_at": PERIOD[0],
        "period_end_at": PERIOD[1],
        "seller": {"displayName": "Seller", "timeZone": "Europe/Berlin"},
        "buyer": {"externalId": "cust_1", "name": "", "language": "de"},
        "digest": bytes(32),
        "created_at": NOW,
    }
    return Invoice.objects.create(**smallest | fields)


def add_line(invoice, **fields):
    smallest = {
        "tenant": invoice.tenant,
        "invoice": invoice,
        "type": InvoiceLine.Type.USAGE_FEE,
        "stage": "Rate",
        "exact_amount": Decimal("12.504"),
        "amount": Decimal("12.50"),
    }
    return InvoiceLine.objects.create(**smallest | fields)


def test_rows_become_a_document():
    invoice = stored()
    add_line(invoice, position=2, description="second")
    line = add_line(
        invoice,
        position=1,
        description="first",
        quantity=Decimal("3.5"),
        charges=[
            {"label": "tier 1", "quantity": "3.5", "unitPrice": "2", "amount": "7"},
            {"label": "fee", "quantity": "0", "unitPrice": None, "amount": "5.504"},
        ],
    )
    span = {"first_position": 1, "last_position": 3, "event_count": 3, "revenue": 0, "quantity": 0}
    BillRunEventIndex.objects.create(
        tenant=invoice.tenant, line=line, running_total_id=1, digest=b"", **span
    )
    document = document_of(Invoice.objects.for_tenant(invoice.tenant).get())
    assert document.lines == (
        DocumentLine(
            "first",
            Decimal("12.5"),
            Decimal("12.504"),
            Decimal("3.5"),
            (
                DocumentCharge("tier 1", Decimal("3.5"), Decimal(2), Decimal(7)),
                DocumentCharge("fee", Decimal(0), None, Decimal("5.504")),
            ),
            event_count=3,
            type="USAGE_FEE",
        ),
        DocumentLine("second", Decimal("12.5"), Decimal("12.504"), type="USAGE_FEE"),
    )
    assert document.total == document.subtotal == Decimal("12.5")
    assert (document.language, document.time_zone) == ("de", "Europe/Berlin")


def test_a_party_without_a_name_is_known_by_the_sellers_id_of_it():
    document = document_of(stored())
    assert document.buyer == Party(name="cust_1", reference="cust_1")
    assert document.seller == Party(name="Seller")


def test_a_draft_is_quoted_by_its_id_and_dated_by_its_making():
    invoice = stored()
    document = document_of(invoice)
    assert (document.reference, document.dated_at) == (str(invoice.pk), NOW)


def test_an_issued_invoice_is_quoted_by_its_number_and_dated_by_its_issue():
    issued_at = datetime(2026, 4, 2, tzinfo=UTC)
    document = document_of(stored(status="OPEN", number="INV-7", issued_at=issued_at))
    assert (document.reference, document.dated_at) == ("INV-7", issued_at)


def test_lines_of_prefetched_invoices_cost_no_query(django_assert_num_queries):
    invoice = stored()
    add_line(invoice, position=1, description="first")
    rows = Invoice.objects.for_tenant(invoice.tenant).prefetch_related(
        "lines__spans", "billing_entity"
    )
    (invoice,) = rows
    with django_assert_num_queries(0):
        document_of(invoice)


def test_colour_and_last_word_are_those_of_the_invoice_and_the_picture_is_todays():
    invoice = stored()
    entity = invoice.billing_entity
    entity.accent_color, entity.footer, entity.logo = "#112233", "Today", b"<svg/>"
    entity.save()
    assert document_of(invoice).branding == Branding(b"<svg/>", "#112233", "Today")
    invoice.seller |= {"accentColor": "#445566", "footer": ""}
    assert document_of(invoice).branding == Branding(b"<svg/>", "#445566", "")


@pytest.mark.parametrize(
    ("status", "tax_status", "is_pending"),
    [
        ("DRAFT", "PENDING", True),
        ("DRAFT", "FAILED", True),
        ("DRAFT", "SETTLED", False),
        ("VOID", "PENDING", False),
    ],
)
def test_only_a_draft_waits_for_its_tax(status, tax_status, is_pending):
    given = document_of(stored(status=status, tax_status=tax_status))
    assert given.is_tax_pending is is_pending
