"""The panel beside a price: what a quantity costs, line by line, while the terms are typed."""

import pytest
from django.urls import reverse

from tests.catalog.admin.test_admin import browser_of
from tests.factories import TenantFactory

TIERS = {
    "terms-model": "GRADUATED",
    "terms-end": ["1000", "10000", ""],
    "terms-price": ["0.010", "0.008", "0.005"],
    "terms-fee": ["", "", ""],
}


@pytest.fixture
def browser(db):
    return browser_of(TenantFactory())


def shown(browser, said):
    answer = browser.post(reverse("admin:catalog_price_panel"), said)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_worked_example_is_shown_tier_by_tier(browser):
    page = shown(browser, TIERS | {"quantity": "15000"})
    for text in ("1,000 &times; 0.01", "9,000 &times; 0.008", "5,000 &times; 0.005", ">107<"):
        assert text in page
    assert "15,000 units cost" in page
    assert page.count("<polyline") == 2


def test_contradictions_are_said_at_their_place(browser):
    page = shown(browser, TIERS | {"terms-price": ["x", "1", "1"]})
    assert "tier 1, price per unit" in page
    assert "<polyline" not in page


@pytest.mark.parametrize("quantity", ["", "nonsense", "-1", "NaN", "1e999"])
def test_without_a_quantity_a_usual_one_is_worked(browser, quantity):
    assert "15,000 units cost" in shown(browser, TIERS | {"quantity": quantity})


def test_strangers_see_no_panel(client):
    answer = client.post(reverse("admin:catalog_price_panel"), TIERS)
    assert answer.status_code == 302
