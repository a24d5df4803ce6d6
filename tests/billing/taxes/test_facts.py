"""Taxes of stored periods: invoices bear what the table says of seller, buyer and day."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Invoice, TaxRate
from billing.pipeline import StageFailed
from billing.services.invoices import bill_periods
from billing.taxes.facts import tax_facts
from catalog.models import SubscriptionPeriod
from tests.billing.build import bill_run, priced_subscription
from tests.factories import NOW

pytestmark = pytest.mark.django_db
APRIL = datetime(2026, 4, 2, tzinfo=UTC)


def rate(tenant, percent, country="DE", **fields):
    return TaxRate.objects.create(
        tenant=tenant,
        name="VAT",
        country=country,
        percent=Decimal(percent),
        created_at=NOW,
        **fields,
    )


@pytest.fixture
def sold():
    """The March period of a subscription at 100.00, with the seller and the buyer as said."""

    def sold(*, seller=None, **buyer):
        period, _ = priced_subscription(base_fee="100.00")
        entity, customer = period.subscription.billing_entity, period.subscription.customer
        for row, fields in ((entity, {"country": "DE", "tax_engine": "TABLE"} | (seller or {})),
                            (customer, {"country": "DE"} | buyer)):  # fmt: skip
            for name, value in fields.items():
                setattr(row, name, value)
            row.save()
        return period

    return sold


def billed(period):
    bill_periods(run=bill_run(period.tenant), period_ids=[period.id], now=APRIL)
    return Invoice.objects.get(period=period)


def amounts(invoice):
    return tuple(map(str, (invoice.subtotal, invoice.tax_total, invoice.total)))


def test_tax_stands_on_the_invoice(sold):
    period = sold()
    rate(period.tenant, "19")
    invoice = billed(period)
    assert amounts(invoice) == ("100.0000", "19.0000", "119.0000")
    line = invoice.lines.get(type="TAX_ADJUSTMENT")
    assert (line.description, line.amount) == ("VAT 19 % on 100.00", 19)
    assert (line.tax_percent, invoice.lines.first().tax_percent) == (19, 19)
    assert invoice.tax_status == "SETTLED"


def test_contained_tax_leaves_the_total_as_it_is(sold):
    period = sold(seller={"tax_inclusive": True})
    rate(period.tenant, "19")
    assert amounts(billed(period)) == ("84.0300", "15.9700", "100.0000")


@pytest.mark.parametrize(
    ("buyer", "total"),
    [
        ({"country": "FR", "tax_number": "FR40303265045"}, 100),
        ({"country": "FR", "tax_number": "FR00000000000"}, 120),  # stored before it was checked
        ({"country": "FR"}, 120),
        ({"country": "US"}, 100),
        ({"tax_exempt": True}, 100),
    ],
)
def test_where_the_buyer_is_decides(sold, buyer, total):
    period = sold(**buyer)
    rate(period.tenant, "19")
    rate(period.tenant, "20", "FR")
    assert billed(period).total == total


def test_the_rate_is_that_of_the_last_day_of_the_period(sold):
    period = sold()
    rate(period.tenant, "19", valid_until=date(2026, 4, 1))
    rate(period.tenant, "21", valid_from=date(2026, 4, 1))
    assert billed(period).total == 119


def test_days_begin_where_the_seller_is(sold):
    period = sold(seller={"time_zone": "America/New_York"})
    period.end_at = datetime(2026, 4, 1, 4, tzinfo=UTC)
    row = rate(period.tenant, "19", valid_until=date(2026, 4, 1))
    (fact,) = tax_facts(period.tenant_id, [period])[period.id].rates
    assert fact.valid_until == datetime(2026, 4, 1, 4, tzinfo=UTC)
    assert fact.percent == row.percent


def test_a_missing_rate_fails_the_tax_stage(sold):
    with pytest.raises(StageFailed, match="Tax: the table has no rate for DE on 2026-03-31"):
        billed(sold())
    assert not Invoice.objects.exists()


def test_a_draft_for_an_external_engine_is_not_issued(sold):
    period = sold(seller={"tax_engine": "HTTP"})
    run = bill_run(period.tenant, auto_finalize=True)
    bill_periods(run=run, period_ids=[period.id], now=APRIL)
    invoice = Invoice.objects.get()
    assert (invoice.status, invoice.tax_status, invoice.number) == ("DRAFT", "PENDING", None)
    assert invoice.total == 100


@pytest.mark.parametrize(("engine", "statements"), [("NONE", 0), ("HTTP", 0), ("TABLE", 1)])
def test_reading_the_table_is_one_statement_or_none(sold, engine, statements):
    period = sold(seller={"tax_engine": engine})
    found = SubscriptionPeriod.objects.select_related(
        "subscription__customer", "subscription__billing_entity"
    ).get(pk=period.pk)
    with CaptureQueriesContext(connection) as queries:
        tax_facts(period.tenant_id, [found, found])
    assert len(queries) == statements
