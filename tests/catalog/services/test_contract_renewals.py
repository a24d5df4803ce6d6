from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.services.actors import Actor
from catalog.models import Contract
from catalog.services import contract_renewals, contracts
from catalog.services.periods import AHEAD, extend_tenant_periods
from catalog.tasks import renew_contracts
from metering.services import clocks
from tests.factories import (
    NOW,
    PER_UNIT,
    BillableUnitFactory,
    ContractFactory,
    SandboxFactory,
    SubscriptionFactory,
)
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
END = datetime(2026, 4, 1, tzinfo=UTC)


def agreed(**fields):
    """In force from January to March 2026, with one phase, and renewed by a year."""
    given = {"end_at": END, "phases": ({},), "auto_renew": True, "agreed": True}
    return ContractFactory(**(given | fields))


def renewal_of(contract):
    return Contract.objects.for_tenant(contract.tenant).filter(renewed_from=contract).first()


def facts():
    return [message.fact for message in OutboxMessage.objects.order_by("id")]  # any tenant


def test_a_contract_is_renewed_a_week_before_its_end_with_its_last_phase():
    unit = BillableUnitFactory()
    middle = datetime(2026, 2, 1, tzinfo=UTC)
    contract = agreed(
        tenant=unit.tenant,
        agreed=False,
        phases=[
            {"end_at": middle, "minimum_spend": 100},
            {"start_at": middle, "minimum_spend": 200, "prices": {unit: PER_UNIT}},
        ],
    )
    contracts.activate_contract(contract=contract, actor=Actor.system(), now=NOW)
    week = timedelta(days=7)
    assert contract_renewals.sweep_contracts(now=END - week - timedelta(seconds=1)) == 0
    for _ in range(2):
        contract_renewals.sweep_contracts(now=END - week)
    renewal = renewal_of(contract)
    assert (renewal.start_at, renewal.end_at) == (END, datetime(2027, 4, 1, tzinfo=UTC))
    assert (renewal.status, renewal.auto_renew) == (Contract.Status.ACTIVE, True)
    phase = renewal.phases.get()
    assert (phase.start_at, phase.end_at) == (renewal.start_at, renewal.end_at)
    assert phase.minimum_spend == 200
    assert phase.prices.get().terms["rate"] == "0.01"
    contract.refresh_from_db()
    assert contract.status == Contract.Status.ACTIVE
    assert facts() == ["contract.activated", "contract.renewed"]


def test_periods_that_begin_with_the_renewal_are_billed_by_it():
    contract = agreed()
    subscription = SubscriptionFactory(tenant=contract.tenant, customer=contract.customer, months=2)
    coming = subscription.periods.get(start_at=END)
    contract_renewals.sweep_contracts(now=END - timedelta(days=1))
    coming.refresh_from_db()
    assert coming.contract_phase.contract == renewal_of(contract)


@pytest.mark.parametrize(
    ("months", "spend", "renewed"), [(3, 1200, 1200), (12, 1200, 4800), (1, 100, "33.33")]
)
def test_spends_over_the_term_are_for_so_many_months(months, spend, renewed):
    contract = agreed(renewal_months=months, minimum_spend=spend)
    contract_renewals.sweep_contracts(now=END - timedelta(days=1))
    renewal = renewal_of(contract)
    assert renewal.minimum_spend == Decimal(renewed)
    assert renewal.maximum_spend is None


def test_a_contract_ends_with_its_term_and_that_is_told():
    contract = agreed(auto_renew=False)
    assert contract_renewals.sweep_contracts(now=END - timedelta(seconds=1)) == 0
    assert contract_renewals.sweep_contracts(now=END) == 1
    assert contract_renewals.sweep_contracts(now=END) == 0
    contract.refresh_from_db()
    assert contract.status == Contract.Status.ENDED
    assert renewal_of(contract) is None
    assert facts() == ["contract.ended"]


def test_what_is_agreed_for_later_goes_before_a_renewal():
    contract = agreed()
    agreed(
        tenant=contract.tenant,
        customer=contract.customer,
        start_at=END,
        end_at=END + timedelta(days=365),
    )
    other = agreed()
    contract_renewals.sweep_contracts(now=END)
    assert renewal_of(contract) is None
    assert renewal_of(other) is not None
    contract.refresh_from_db()
    assert contract.status == Contract.Status.ENDED


def test_each_tenant_has_its_own_clock():
    sandbox = SandboxFactory(clock_frozen_at=END)
    contract = agreed(tenant=sandbox, auto_renew=False)
    with time_machine.travel(NOW, tick=False):
        assert renew_contracts() == 1
    contract.refresh_from_db()
    assert contract.status == Contract.Status.ENDED


def test_a_sandbox_clock_that_leaps_finds_its_contracts_renewed():
    sandbox = SandboxFactory(clock_frozen_at=NOW)
    contract = agreed(tenant=sandbox, renewal_months=1)
    subscription = SubscriptionFactory(tenant=sandbox, customer=contract.customer)
    extend_tenant_periods(sandbox, NOW + AHEAD)
    clocks.advance(tenant=sandbox, to=datetime(2026, 7, 15, tzinfo=UTC), actor=Actor.system())
    by_start = {
        period.start_at.month: period.contract_phase for period in subscription.periods.all()
    }
    assert [by_start[month].start_at.month for month in (4, 5, 6, 7)] == [4, 5, 6, 7]


@pytest.mark.django_db(transaction=True)
def test_eight_who_renew_make_one_renewal():
    contract = agreed()

    def renew(_):
        return contract_renewals.renew_contract(
            contract=contract, actor=Actor.system(), now=END - timedelta(days=1)
        ).pk

    assert len(set(in_threads(8, renew))) == 1
    assert facts() == ["contract.renewed"]
