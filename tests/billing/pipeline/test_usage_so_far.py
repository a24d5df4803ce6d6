"""Invoices of usage so far: whatever the cuts, their sum is the single invoice."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import pipeline
from billing.pipeline import EarlierFact
from billing.services.progress import so_far
from tests.billing.pipeline.build import contract, coupon, facts, plan, usage_fact

MID = datetime(2024, 4, 15, tzinfo=UTC)
TIERS = [
    {"tierEnd": 10, "unitPrice": "0.333", "flatFee": "1"},
    {"tierEnd": 25, "unitPrice": "0.207"},
    {"tierEnd": -1, "unitPrice": "0.015", "flatFee": "0.5"},
]
STEPS = [{"tierEnd": 10, "price": "3.005"}, {"tierEnd": 30, "price": "7"}]
TERMS = [
    {"model": "PER_UNIT", "rate": "0.0275"},
    {"model": "GRADUATED", "tiers": TIERS, "billZeroTier": True},
    {"model": "INCLUDED_QUOTA", "includedFree": "7", "rate": "0.125", "blockSize": "3"},
    {"model": "STAIRSTEP", "steps": STEPS, "overageRate": "0.1"},
    {"model": "FLAT_RATE", "flatRate": "4.99"},
]
BOUGHT = {
    "plain": ((plan(base_fee="12.345"),), {}),
    "a minimum": ((plan(base_fee="5", minimum_spend="20"),), {}),
    "a maximum": ((plan(base_fee="5", maximum_spend="9"),), {}),
    "discounts": ((plan(base_fee="5", discount_percent="12.5", discount_amount="3"),), {}),
    "a contract": (
        (plan(),),
        {"contract": contract(maximum_spend="6", discount_percent="33.3", discount_amount="1")},
    ),
    "coupons": ((plan(),), {"coupons": (coupon(1, amount="2"), coupon(2, percent="10"))}),
}


@pytest.mark.parametrize("bought", BOUGHT.values(), ids=BOUGHT.keys())
@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: terms["model"])
@given(steps=st.lists(st.tuples(st.decimals(0, 40, places=2), st.booleans()), max_size=6))
def test_whatever_the_cuts_the_parts_sum_to_the_single_invoice(bought, terms, steps):
    plans, fields = bought
    asked, used = [], Decimal(0)
    for number, (quantity, is_cut) in enumerate(steps):
        used += quantity
        if is_cut:
            now = facts(*plans, usage=[usage_fact(used, terms)], **fields, earlier=tuple(asked))
            total = pipeline.run(so_far(now, now=MID)).draft.total()
            asked.append(EarlierFact(UUID(int=900 + number), f"INV-{number}", total))
    whole = facts(*plans, usage=[usage_fact(used, terms)], **fields)
    single = pipeline.run(whole).draft.total()
    last = pipeline.run(replace(whole, earlier=tuple(asked))).draft.total()
    assert sum((one.amount for one in asked), last) == single
    assert all(one.amount >= 0 for one in asked)
