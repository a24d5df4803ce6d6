"""The minimum of a contract's term is asked for, also where a pause hides the end of the term."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.invariants import broken_truths
from billing.models import Invoice
from billing.selectors.periods import adjustable_periods
from billing.services.closing import close_periods
from billing.services.regenerating import regenerate_invoice
from billing.services.voiding import void_invoice
from catalog.models import Subscription, SubscriptionPeriod
from tests.billing.build import APRIL
from tests.billing.services.test_facts import shown, subscribed
from tests.billing.services.test_openings import ACTOR, MAY, bill
from tests.factories import ContractFactory

pytestmark = pytest.mark.django_db
PAUSED = datetime(2026, 4, 16, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def periods(db):
    """March, half of April and then a pause; the term of March to May promised 100."""
    (march, april, *later), _ = subscribed(base_fee=30, months=5)
    agreed = ContractFactory(
        tenant=march.tenant,
        customer=march.subscription.customer,
        name="Deal",
        start_at=march.start_at,
        end_at=JUNE,
        minimum_spend=100,
        phases=[{}],
        agreed=True,
    )
    for period in (march, april):
        period.contract_phase = agreed.phases.get()
        period.save()
    for period in later[:2]:  # May and June
        period.delete()
    april.whole_end_at, april.end_at = april.end_at, PAUSED
    april.save()
    return march, april, later[2]


def holds(period):
    assert broken_truths(tenant_id=period.tenant_id, full=True) == {}


def owed(period, until):
    return list(adjustable_periods(tenant_id=period.tenant_id, until=until))


def test_it_is_asked_for_once_when_the_term_is_over(periods):
    march, april, _ = periods
    bill([march], now=APRIL)
    bill([april], now=PAUSED)
    assert owed(april, JUNE - timedelta(seconds=1)) == []
    assert owed(april, JUNE) == [april]
    (invoice,) = bill([april], now=JUNE)
    assert invoice.kind == "ADJUSTMENT"
    assert shown(invoice) == [("Deal: true-up to minimum spend of the term", "55.0000")]
    assert owed(april, AUGUST) == []
    assert bill([april], now=AUGUST) == []
    holds(april)


def test_the_clock_asks_for_it(periods, queued):
    march, april, _ = periods
    bill([march], now=APRIL)
    bill([april], now=PAUSED)
    settled = JUNE + april.tenant.settlement_delay
    assert close_periods(now=settled - timedelta(seconds=1)) == 0
    assert close_periods(now=settled) == 1


def test_it_is_asked_for_when_it_is_cancelled_in_its_pause(periods):
    march, april, july = periods
    july.delete()
    bill([march], now=APRIL)
    bill([april], now=PAUSED)
    Subscription.objects.filter(pk=april.subscription_id).update(end_at=MAY)
    (invoice,) = bill([april], now=MAY)
    assert invoice.total == 55
    holds(april)


def test_what_goes_on_after_the_pause_owes_nothing_of_it(periods):
    march, april, july = periods
    bill([march], now=APRIL)
    bill([april], now=PAUSED)
    first, second = bill([april, july], now=AUGUST)
    assert {(one.kind, one.total) for one in (first, second)} == {
        ("ADJUSTMENT", Decimal(55)),
        ("PERIOD", Decimal(30)),
    }
    holds(april)


def test_a_resume_within_the_term_leaves_it_to_its_last_period(periods):
    march, april, _ = periods
    bill([march], now=APRIL)
    bill([april], now=PAUSED)
    may = SubscriptionPeriod.objects.create(
        tenant=april.tenant,
        subscription=april.subscription,
        contract_phase=april.contract_phase,
        start_at=MAY,
        end_at=JUNE,
        whole_start_at=MAY,
    )
    assert owed(april, JUNE) == []
    (invoice,) = bill([may], now=JUNE)
    assert (invoice.kind, invoice.total) == ("PERIOD", 55)  # 30, and 25 to reach 100
    assert owed(april, JUNE) == []
    holds(april)


def test_a_void_one_is_made_again(periods):
    march, april, _ = periods
    bill([march], now=APRIL)
    bill([april], now=PAUSED)
    (invoice,) = bill([april], now=JUNE)
    void_invoice(invoice=invoice, reason="wrong", actor=ACTOR, now=JUNE)
    again = regenerate_invoice(invoice=invoice, actor=ACTOR, now=JUNE, finalize=True)
    assert (again.kind, again.total) == ("ADJUSTMENT", 55)
    assert Invoice.objects.exclude(status="VOID").count() == 3
    holds(april)
