"""A seller whose customers and units are those that a client names."""

import pytest

from catalog.aliases import digest_of
from catalog.models import Customer
from tests.factories import BillableUnitFactory, CustomerAliasFactory, RatePlanVersionFactory
from tests.metering.conftest import subscribe

RATE = {"model": "PER_UNIT", "rate": "0.01"}


@pytest.fixture
def sell(seller):
    """Subscribe a new customer to units of these names, each priced at a cent."""

    def sell(customer, **units):
        made = [
            BillableUnitFactory(tenant=seller.tenant, name=name, **fields)
            for name, fields in units.items()
        ]
        version = RatePlanVersionFactory(
            tenant=seller.tenant, prices=dict.fromkeys(made, RATE), published=True
        )
        return subscribe(seller.tenant, customer, version).customer

    return sell


@pytest.fixture
def alias(seller):
    """Give a customer (`cust_1` unless another is named) one more name."""

    def alias(name, customer="cust_1"):
        owner = Customer.objects.get(tenant=seller.tenant, external_id=customer)
        digest = digest_of(seller.tenant.id, name)
        CustomerAliasFactory(customer=owner, label="", digest=digest)

    return alias
