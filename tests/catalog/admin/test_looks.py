from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from tests.factories import BillableUnitFactory, RatePlanVersionFactory, UnitPriceFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def superuser():
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def page_of(client, version):
    return client.get(reverse("admin:catalog_rateplanversion_change", args=[version.pk])).content


@pytest.mark.parametrize("published", [True, False])
def test_only_a_draft_offers_to_be_published(superuser, published):
    version = RatePlanVersionFactory(published=published)
    assert (b"/publish" in page_of(superuser, version)) is not published


def test_a_published_version_shows_its_fees_without_trailing_zeros(superuser):
    version = RatePlanVersionFactory(published=True, base_fee=Decimal("49.500000000000"))
    page = page_of(superuser, version).decode()
    assert "49.5" in page
    assert "49.50" not in page


def test_units_are_listed_with_their_plain_cost(superuser):
    BillableUnitFactory(unit_cost=Decimal("0.000001100000"))
    page = superuser.get(reverse("admin:catalog_billableunit_changelist")).content.decode()
    assert "0.0000011<" in page


def test_prices_are_listed_with_their_models(superuser):
    UnitPriceFactory(terms={"model": "STAIRSTEP"})
    page = superuser.get(reverse("admin:catalog_unitprice_changelist"))
    assert page.status_code == 200
    assert "STAIRSTEP" in page.content.decode()
