"""Void adjustments of usage whose price is told from single events."""

import pytest

from billing.services.regenerating import regenerate_invoice
from billing.services.voiding import void_invoice
from tests.billing.build import APRIL
from tests.billing.test_late_usage import (
    ACTOR,
    MAY,
    accept_all,
    adjusted,
    assert_all_is_proven,
    bill,
    fresh_process,
    months,
    no_wakes,
    sell,
    seller,
    things,
)

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db
MATRIX = {
    "model": "MATRIX",
    "dimensions": ["region"],
    "cells": [{"values": {"region": "us"}, "rate": "1"}],
    "defaultRate": "2",
}


def test_a_void_adjustment_of_single_events_is_made_again(seller, queued):
    sell(seller, MATRIX)
    seller.count(things(1, 10, metadata={"region": "us"}))
    bill(seller.tenant, APRIL)
    seller.count(things(2, 5, metadata={"region": "eu"}))
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    assert [str(line.amount) for line in adjusted(april)] == ["10.0000"]
    void_invoice(invoice=april, reason="wrong", actor=ACTOR, now=MAY)
    fresh = regenerate_invoice(invoice=april, actor=ACTOR, now=MAY, finalize=True)
    assert [str(line.amount) for line in adjusted(fresh)] == ["10.0000"]
    assert_all_is_proven(seller)
