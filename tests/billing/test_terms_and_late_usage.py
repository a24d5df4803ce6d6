"""Late usage counts towards minimum and maximum of a contract's term, as its period does."""

from decimal import Decimal

import pytest

from billing.invariants import broken_truths
from tests.billing.test_late_usage import (
    APRIL,
    MAY,
    PER_CALL,
    accept_all,
    bill,
    fresh_process,
    months,
    no_wakes,
    sell,
    seller,
    things,
)
from tests.factories import MONTH_START, ContractFactory

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("agreed", "asked"),
    [({"minimum_spend": 100}, 100), ({"maximum_spend": 61}, 61), ({"minimum_spend": 50}, 62)],
    ids=["minimum", "maximum", "met"],
)
def test_usage_that_comes_late_changes_nothing_of_a_term(seller, queued, agreed, asked):
    """March and April of 30.00 each, and 2.00 of usage in March that comes when it is billed."""
    subscription = sell(seller, PER_CALL, fees={"base_fee": Decimal(30)})
    contract = ContractFactory(
        tenant=seller.tenant,
        customer=subscription.customer,
        start_at=MONTH_START,
        end_at=MAY,
        phases=[{}],
        agreed=True,
        **agreed,
    )
    subscription.periods.update(contract_phase=contract.phases.get())
    (march,) = bill(seller.tenant, APRIL)
    seller.count(things(1, 100))
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    assert march.total + april.total == asked
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
