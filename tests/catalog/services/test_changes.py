"""No service ties a row of one tenant to a row of another, whichever door lets it in."""

import pytest

from aforo.errors import NotFound
from catalog.models import Offering, RatePlan, Subscription
from catalog.services.billable_units import create_unit, edit_unit
from catalog.services.offerings import create_offering
from catalog.services.prices import PriceDraft
from catalog.services.rate_plans import create_rate_plan
from catalog.services.subscriptions import create_subscription
from tests.factories import (
    NOW,
    PER_UNIT,
    BillableUnitFactory,
    BillingEntityFactory,
    CustomerFactory,
    OfferingFactory,
    ProductFactory,
    RatePlanFactory,
    RatePlanVersionFactory,
)


@pytest.fixture
def common(tenant, actor):
    return {"tenant": tenant, "actor": actor, "now": NOW}


def test_units_and_plans_take_products_of_their_tenant(common, tenant, actor):
    unit = BillableUnitFactory(tenant=tenant)
    foreign = [ProductFactory()]
    with pytest.raises(NotFound, match="there is no product"):
        create_unit(**common, name="calls", products=foreign)
    with pytest.raises(NotFound, match="there is no product"):
        edit_unit(unit=unit, edits={}, products=foreign, actor=actor, now=NOW)
    with pytest.raises(NotFound, match="there is no product"):
        create_rate_plan(**common, name="Pro", currency="USD", products=foreign)


def test_prices_are_of_units_of_the_tenant(common):
    prices = [PriceDraft(BillableUnitFactory(), PER_UNIT)]
    with pytest.raises(NotFound, match="there is no billable unit"):
        create_rate_plan(**common, name="Pro", currency="USD", price_drafts=prices)
    assert RatePlan.objects.count() == 0


def test_an_offering_holds_plans_of_its_tenant(common):
    plans = [RatePlanFactory()]
    with pytest.raises(NotFound, match="there is no rate plan"):
        create_offering(**common, code="pro", name="Pro", plans=plans, currency="USD")
    assert Offering.objects.count() == 0


@pytest.mark.parametrize("foreign", ["customer", "offering", "billing_entity"])
def test_a_subscription_is_of_one_tenant(common, tenant, foreign):
    version = RatePlanVersionFactory(tenant=tenant, published=True)
    others = {
        "customer": CustomerFactory,
        "offering": OfferingFactory,
        "billing_entity": BillingEntityFactory,
    }
    own = {
        "customer": CustomerFactory(tenant=tenant),
        "offering": OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan]),
        "billing_entity": BillingEntityFactory(tenant=tenant),
    }
    with pytest.raises(NotFound):
        create_subscription(**common, **(own | {foreign: others[foreign]()}))
    assert Subscription.objects.count() == 0
