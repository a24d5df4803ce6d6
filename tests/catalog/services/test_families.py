"""Parents and children: no rings, one currency, one seller."""

import pytest

from aforo.errors import NotFound, Refused
from catalog.services.customers import create_customer, edit_customer
from tests.factories import NOW, CustomerFactory, SubscriptionFactory
from tests.threads import in_threads


@pytest.fixture
def adopt(actor):
    def adopt(child, parent):
        return edit_customer(customer=child, edits={"parent": parent}, actor=actor, now=NOW)

    return adopt


def test_a_customer_may_have_a_parent_and_leave_it(tenant, actor, adopt):
    parent = CustomerFactory(tenant=tenant)
    child = create_customer(tenant=tenant, actor=actor, now=NOW, parent=parent, tax_exempt=True)
    assert (child.parent, child.tax_exempt) == (parent, True)
    assert adopt(child, None).parent is None


def test_nobody_is_their_own_ancestor(tenant, adopt):
    first, second, third = (CustomerFactory(tenant=tenant) for _ in range(3))
    adopt(second, first)
    adopt(third, second)
    for parent in (first, second, third):
        with pytest.raises(Refused) as refusal:
            adopt(first, parent)
        assert refusal.value.errors[0].code == "CYCLE"


def test_a_parent_is_of_the_same_tenant_and_not_archived(tenant, adopt):
    child = CustomerFactory(tenant=tenant)
    with pytest.raises(NotFound):
        adopt(child, CustomerFactory())
    with pytest.raises(Refused, match="archived"):
        adopt(child, CustomerFactory(tenant=tenant, archived_at=NOW))


def test_a_family_has_one_currency(tenant, actor, adopt):
    parent = CustomerFactory(tenant=tenant, currency="EUR")
    with pytest.raises(Refused, match="billed in EUR, not in USD"):
        adopt(CustomerFactory(tenant=tenant, currency="USD"), parent)
    child = CustomerFactory(tenant=tenant, currency="EUR")
    adopt(child, parent)
    for one in (child, parent):
        with pytest.raises(Refused, match="same family"):
            edit_customer(customer=one, edits={"currency": "USD"}, actor=actor, now=NOW)


def test_a_family_has_one_seller(tenant, adopt):
    first = SubscriptionFactory(tenant=tenant)
    other = SubscriptionFactory(tenant=tenant)
    with pytest.raises(Refused, match="billing entities"):
        adopt(first.customer, other.customer)
    other.state = "CANCELLED"
    other.save()
    assert adopt(first.customer, other.customer).parent == other.customer


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_close_no_ring(tenant, adopt):
    ring = [CustomerFactory(tenant=tenant) for _ in range(8)]

    def follow(index):
        try:
            adopt(ring[index], ring[(index + 1) % 8])
        except Refused:
            return "refused"
        return "adopted"

    assert sorted(in_threads(8, follow)) == ["adopted"] * 7 + ["refused"]
