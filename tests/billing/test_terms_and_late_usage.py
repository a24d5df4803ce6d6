"""What was agreed, and usage that comes late: terms of contracts, and coupons."""

from decimal import Decimal

import pytest

from billing.invariants import broken_truths
from billing.models import CouponUse
from tests.billing.test_late_usage import (
    APRIL,
    MAY,
    PER_CALL,
    accept_all,
    bill,
    end_subscription,
    fresh_process,
    months,
    no_wakes,
    sell,
    seller,
    things,
)
from tests.factories import (
    MONTH_START,
    ContractFactory,
    CouponFactory,
    CouponRedemptionFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
)

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


@pytest.mark.parametrize(
    ("discount", "asked"),
    [({}, "27.9000"), ({"discount_type": "FIXED_AMOUNT", "discount_value": 10}, "21.0000")],
    ids=["percentage", "amount"],
)
def test_a_coupon_for_one_invoice_is_not_spent_on_late_usage_alone(seller, queued, discount, asked):
    """It waits for an invoice of a period, here of another subscription in the same run."""
    over = sell(seller, PER_CALL)
    kind = {"discount_type": "PERCENTAGE", "discount_value": 10}
    coupon = CouponFactory(tenant=seller.tenant, currency="USD", **kind | discount)
    CouponRedemptionFactory(coupon=coupon, customer=over.customer, redeemed_at=MONTH_START)
    end_subscription(seller)
    bill(seller.tenant, APRIL)
    version = RatePlanVersionFactory(tenant=seller.tenant, published=True, base_fee=Decimal(31))
    SubscriptionFactory(
        tenant=seller.tenant,
        customer=over.customer,
        versions=[version],
        start_at=APRIL,
        months=1,
    )
    seller.count(things(1, 100))
    accept_all(seller.tenant)
    made = {one.kind: str(one.total) for one in bill(seller.tenant, MAY)}
    assert made == {"ADJUSTMENT": "2.0000", "PERIOD": asked}
    assert CouponUse.objects.count() == 1


@pytest.mark.parametrize(("maximum", "asked"), [(35, 5), (31, 1), (30, 0), (60, 20)])
def test_the_maximum_of_a_term_holds_for_late_usage_alone(seller, queued, maximum, asked):
    """30.00 in March, the only period, and 20.00 that come when it is billed."""
    subscription = sell(seller, PER_CALL, fees={"base_fee": Decimal(30)})
    contract = ContractFactory(
        tenant=seller.tenant,
        customer=subscription.customer,
        start_at=MONTH_START,
        end_at=APRIL,
        phases=[{}],
        agreed=True,
        maximum_spend=maximum,
    )
    subscription.periods.filter(start_at=MONTH_START).update(contract_phase=contract.phases.get())
    end_subscription(seller)
    (march,) = bill(seller.tenant, APRIL)
    seller.count(things(1, 1000))
    accept_all(seller.tenant)
    (adjustment,) = bill(seller.tenant, MAY)
    assert (march.total, adjustment.kind, adjustment.total) == (30, "ADJUSTMENT", asked)
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
