"""Late usage of a dimension that nobody had used when its period was billed."""

import pytest

from billing.services.regenerating import regenerate_invoice
from billing.services.voiding import void_invoice
from metering.models import HeldEvent, LateTotal
from tests.billing.build import APRIL
from tests.billing.test_late_usage import (
    ACTOR,
    MAY,
    PER_CALL,
    accept_all,
    adjusted,
    assert_all_is_proven,
    bill,
    end_subscription,
    fresh_process,
    months,
    no_wakes,
    sell,
    seller,
    things,
)

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db
BY_REGION = PER_CALL | {"groupBy": ["region"]}
NEW = {"metadata": {"region": "eu"}}


def test_events_of_a_new_dimension_wait_for_a_decision_like_others(seller, queued):
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    bill(seller.tenant, APRIL)
    seller.count(things(2, 5, **NEW))
    assert HeldEvent.objects.count() == 1
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    assert [str(line.amount) for line in adjusted(april)] == ["0.1000"]
    assert_all_is_proven(seller)


def test_they_are_billed_when_their_subscription_is_over(seller, queued):
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    end_subscription(seller)
    bill(seller.tenant, APRIL)
    seller.count(things(2, 5, **NEW))
    accept_all(seller.tenant)
    (adjustment,) = bill(seller.tenant, MAY)
    assert [str(line.amount) for line in adjusted(adjustment)] == ["0.1000"]
    assert_all_is_proven(seller)


def test_void_and_made_anew_they_are_a_line_of_their_period(seller, queued):
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    (march,) = bill(seller.tenant, APRIL)
    seller.count(things(2, 5, **NEW))
    accept_all(seller.tenant)
    void_invoice(invoice=march, reason="wrong", actor=ACTOR, now=APRIL)
    fresh = regenerate_invoice(invoice=march, actor=ACTOR, now=APRIL, finalize=True)
    assert str(fresh.total) == "0.3000"
    assert not LateTotal.objects.exists()
    assert_all_is_proven(seller)
