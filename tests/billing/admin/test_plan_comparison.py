"""What a draft version would change, for whom, by their latest usage."""

import pytest
from django.urls import reverse

from billing.services.plan_comparison import compare
from catalog.models import BillableUnit, RatePlanVersion
from catalog.services.rate_plans import draft_next_version, edit_draft
from tests.catalog.admin.test_admin import browser_of
from tests.factories import TenantFactory
from tests.metering.conftest import NOW, fresh_process, no_wakes, seller, subscribe
from tests.metering.events import event

__all__ = ["fresh_process", "no_wakes", "seller"]

from decimal import Decimal

from aforo.tenancy.services.actors import Actor
from catalog.services.prices import PriceDraft

ACTOR = Actor.system("tests")


@pytest.fixture
def draft(seller):
    """The seller's plan, `calls` at 0.03 instead of 0.02 and a fee of 10, after some usage."""
    subscribe(seller.tenant, "cust_2")
    seller.count(*(event(number) for number in range(10)))
    seller.count(*(event(number + 10, customerId="cust_2") for number in range(4)))
    version = RatePlanVersion.objects.get(tenant=seller.tenant)
    made = draft_next_version(plan=version.rate_plan, actor=ACTOR, now=NOW)
    calls = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    price = PriceDraft(calls, {"model": "PER_UNIT", "rate": "0.03"})
    fees = {"base_fee": Decimal(10)}
    return edit_draft(version=made, actor=ACTOR, now=NOW, fees=fees, price_drafts=[price])


def test_changes_are_told_by_customer_the_largest_first(draft):
    found = compare(draft, now=NOW)
    told = [
        (one.customer, one.unit, str(one.before), str(one.after), str(one.difference))
        for one in found.changes
        if one.difference
    ]
    assert told == [
        ("cust_1", "calls", "0.20", "0.30", "0.10"),
        ("cust_2", "calls", "0.08", "0.12", "0.04"),
    ]
    assert found.subscriptions == 2
    assert (found.before, found.after) == (Decimal("0.28"), Decimal("20.42"))


def test_the_page_shows_it(draft):
    page = browser_of(draft.tenant).get(reverse("billing_plan_comparison", args=[draft.pk]))
    text = page.content.decode()
    assert "0.30 USD" in text
    assert "+0.10 USD" in text
    assert "20.42 USD" in text


def test_a_plan_without_a_published_version_has_nothing_to_compare(draft):
    RatePlanVersion.objects.filter(pk=draft.pk).update(rate_plan=draft.rate_plan)
    stranger = browser_of(TenantFactory())
    assert stranger.get(reverse("billing_plan_comparison", args=[draft.pk])).status_code == 404
