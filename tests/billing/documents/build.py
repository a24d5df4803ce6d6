"""Documents for the tests: a plain invoice, of which a test changes what it is about."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from billing.documents import DocumentCharge, DocumentLine, InvoiceDocument, Party

SELLER = Party(
    name="Aforo Cloud",
    legal_name="Aforo Cloud GmbH",
    address="Hafenstraße 12\n20457 Hamburg",
    country="DE",
    tax_number="DE123456789",
    email="billing@aforo.example",
)
BUYER = Party(
    name="Northwind Analytics",
    address="1 Market Street\nSan Francisco, CA 94105",
    country="US",
    email="ap@northwind.example",
    reference="cust_1",
)


def charge(label, quantity, price, amount):
    return DocumentCharge(
        label, Decimal(quantity), None if price is None else Decimal(price), Decimal(amount)
    )


LINES = (
    DocumentLine("Inference: base fee", Decimal("49.00"), Decimal(49)),
    DocumentLine(
        "Inference: input_tokens",
        Decimal("9.37"),
        Decimal("9.368192"),
        Decimal(3684096),
        (
            charge("tier 1", 1000000, "0.000003", "3"),
            charge("tier 2", 2000000, "0.0000025", "5"),
            charge("tier 3", 684096, "0.000002", "1.368192"),
        ),
        1764,
    ),
    DocumentLine(
        "Inference: output_tokens",
        Decimal("0.70"),
        Decimal("0.697845"),
        Decimal(46523),
        (charge("units", 46523, "0.000015", "0.697845"),),
        1764,
    ),
    DocumentLine(
        "Inference: requests",
        Decimal("4.00"),
        Decimal("4.00"),
        Decimal(1764),
        (
            charge("included", 1000, 0, 0),
            charge("overage, 8 blocks of 100 at 0.5", 764, None, "4"),
        ),
        1764,
    ),
)


def document(**fields):
    plain = InvoiceDocument(
        invoice_id="01890a5d-ac96-774b-bcce-b302099a8057",
        status="OPEN",
        number="INV-2023-0001",
        currency="USD",
        language="en",
        time_zone="UTC",
        seller=SELLER,
        buyer=BUYER,
        period_start_at=datetime(2023, 11, 1, tzinfo=UTC),
        period_end_at=datetime(2023, 12, 1, tzinfo=UTC),
        created_at=datetime(2023, 12, 1, 1, tzinfo=UTC),
        issued_at=datetime(2023, 12, 1, 2, tzinfo=UTC),
        due_at=datetime(2023, 12, 15, 2, tzinfo=UTC),
        lines=LINES,
        subtotal=Decimal("63.07"),
        discount_total=Decimal(0),
        tax_total=Decimal(0),
        total=Decimal("63.07"),
        digest=bytes(range(32)),
    )
    return replace(plain, **fields)


def draft(**fields):
    return document(status="DRAFT", number=None, issued_at=None, due_at=None, **fields)
