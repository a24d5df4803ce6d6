"""Taxes of usage so far, by the tax code of what was used."""

from datetime import timedelta
from decimal import Decimal

import pytest

from aforo.tenancy.services.actors import Actor
from billing.selectors.progress import earlier_facts
from billing.services.progress import invoice_now
from tests.billing.build import APRIL
from tests.billing.test_late_usage import fresh_process, months, no_wakes, seller
from tests.factories import BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import subscribe
from tests.metering.events import event

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db


def test_what_was_asked_for_is_known_by_tax_code(seller, queued):
    books = BillableUnitFactory(
        tenant=seller.tenant, name="books", aggregation="SUM", tax_code="BOOKS"
    )
    things = BillableUnitFactory(tenant=seller.tenant, name="things", aggregation="SUM")
    per_unit = {"model": "PER_UNIT", "rate": "1"}
    version = RatePlanVersionFactory(
        tenant=seller.tenant,
        prices={books: per_unit, things: per_unit},
        published=True,
        discount_percent=Decimal(10),
    )
    subscription = subscribe(seller.tenant, "buyer", version, months=2)
    at = {"customerId": "buyer", "occurredAt": "2026-03-10T00:00:00Z"}
    seller.count(
        event(1, quantity=60, metricName="books", **at),
        event(2, quantity=20, metricName="things", **at),
    )
    now = APRIL - timedelta(days=16)
    made = invoice_now(subscription=subscription, actor=Actor.system("tests"), now=now)
    assert made.total == Decimal(72)
    (found,) = earlier_facts(tenant_id=seller.tenant.pk, period_ids=[made.period_id]).values()
    assert [(one.tax_code, one.amount) for one in found] == [("", 18), ("BOOKS", 54)]
