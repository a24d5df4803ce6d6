"""What is taxed is the same, whoever says by how much."""

from decimal import Decimal

import pytest

from billing.models import Invoice, InvoiceLine
from billing.taxes.contract import question_about
from catalog.models import BillableUnit, BillingEntity
from tests.billing.build import APRIL
from tests.billing.metered import meter
from tests.billing.services.test_openings import bill, in_advance
from tests.factories import MONTH_START, CouponFactory, CouponRedemptionFactory

pytestmark = pytest.mark.django_db


def test_an_engine_is_asked_about_the_bases_of_the_table(queued):
    """A coupon that ends with the period is not spread over the fee of the next one."""
    march, *_ = in_advance(setup_fee=Decimal(0))
    bill([march], now=MONTH_START)
    meter(march, march.subscription.plans.get().version.prices.get().unit, [1] * 50)
    BillableUnit.objects.update(tax_code="USED")
    coupon = CouponFactory(
        tenant=march.tenant, discount_value=10, duration="REPEATING", duration_in_months=1
    )
    CouponRedemptionFactory(
        coupon=coupon,
        customer=march.subscription.customer,
        redeemed_at=MONTH_START,
        ends_at=APRIL,
    )
    BillingEntity.objects.update(tax_engine="HTTP", tax_url="https://tax.example/x")
    bill([march], now=APRIL)
    invoice = Invoice.objects.select_related("billing_entity", "customer").get(kind="PERIOD")
    lines = list(InvoiceLine.objects.filter(invoice=invoice).order_by("position"))
    question = question_about(invoice, lines)
    bases = {lines[at - 1].tax_code: base for at, base in question.bases.items()}
    assert bases == {"USED": Decimal(45), "": Decimal(31)}
