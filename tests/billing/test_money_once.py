"""Fees that are asked for once, whatever the plan and the order in which periods are billed."""

from decimal import Decimal

import pytest

from billing.invariants import broken_truths
from billing.selectors.periods import openable_periods
from catalog.models import Subscription, VersionCurrency
from tests.billing.build import APRIL
from tests.billing.services.test_openings import MAY, bill, fees, in_advance
from tests.factories import MONTH_START

pytestmark = pytest.mark.django_db


def test_a_setup_fee_without_a_base_fee_is_asked_for_once():
    march, *_ = in_advance(base_fee=Decimal(0))
    (opening,) = bill([march], now=MONTH_START)
    assert [one[:2] for one in fees(opening)] == [("SETUP_FEE", Decimal(100))]
    (invoice,) = bill([march], now=APRIL)
    assert fees(invoice) == []


def test_a_period_that_is_billed_after_the_next_one_does_not_ask_for_its_fee_again():
    march, april, _ = in_advance()
    bill([march], now=MONTH_START)
    (second,) = bill([april], now=MAY)
    assert [one[:2] for one in fees(second)] == [("CHARGE", Decimal(31)), ("CHARGE", Decimal(31))]
    (first,) = bill([march], now=MAY)
    assert fees(first) == []
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}


def in_euros(euros, **fees):
    """The periods of a subscription in euros to a plan that also has fees of its own."""
    march, *_ = in_advance(published=False, **fees)
    version = march.subscription.plans.get().version
    VersionCurrency.objects.create(
        tenant=march.tenant, version=version, currency="EUR", base_fee=euros
    )
    type(version).objects.update(status="PUBLISHED", published_at=MONTH_START)
    Subscription.objects.update(currency="EUR")
    march.refresh_from_db()
    return march


def test_a_plan_without_fees_in_the_currency_of_a_subscription_has_no_opening():
    march = in_euros(0, setup_fee=Decimal(0))
    assert not openable_periods(tenant_id=march.tenant_id, until=APRIL).exists()
    (invoice,) = bill([march], now=APRIL)
    assert (invoice.kind, fees(invoice)) == ("PERIOD", [])


def test_fees_in_advance_in_the_currency_of_a_subscription_alone_are_opened():
    march = in_euros(5, setup_fee=Decimal(0), base_fee=Decimal(0))
    (opening,) = bill([march], now=MONTH_START)
    assert (opening.kind, fees(opening)) == ("OPENING", [("CHARGE", Decimal(5), MONTH_START)])
