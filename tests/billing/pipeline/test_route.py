"""Route: all of a postpaid total is invoiced."""

from decimal import Decimal

import pytest

from billing.pipeline.route import route_total
from tests.billing.pipeline.build import facts, spent


@pytest.mark.parametrize(("amounts", "total"), [((), "0"), (("10", "0.5"), "10.50")])
def test_postpaid_is_invoiced_in_full(amounts, total):
    assert route_total(spent(facts(), *amounts), facts()).to_invoice == Decimal(total)


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "postpaid"])
def test_what_needs_a_wallet_is_refused(mode):
    given = facts(billing_mode=mode)
    with pytest.raises(ValueError, match=f"billing mode {mode} needs a wallet"):
        route_total(spent(given, "1"), given)


def test_no_invoice_asks_for_less_than_nothing():
    with pytest.raises(ValueError, match=r"the total is -0\.01 USD, below zero"):
        route_total(spent(facts(), "-0.01"), facts())
