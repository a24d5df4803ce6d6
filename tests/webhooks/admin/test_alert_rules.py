"""Alert rules in the admin: conditions are rows, nothing is JSON."""

from datetime import timedelta

import pytest
from django.urls import reverse

from tests.factories import CustomerFactory, TenantFactory
from tests.webhooks.admin.test_endpoints import browser_of
from webhooks.models import AlertRule, CustomerPreference


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def browser(tenant):
    return browser_of(tenant, "ADMIN")


def test_a_rule_is_made_of_rows_and_changed(browser, tenant):
    form = {
        "tenant": str(tenant.pk),
        "name": "Large invoice",
        "severity": "ERROR",
        "fact": "invoice.finalized",
        "conditions-path": ["$.total", "$.currency", ""],
        "conditions-operator": ["AT_LEAST", "EQUALS", "EQUALS"],
        "conditions-value": ["1000", "USD", ""],
        "channels": ["EMAIL", "SLACK"],
        "cooldown": "00:30:00",
        "is_active": "on",
        "firings-TOTAL_FORMS": "0",
        "firings-INITIAL_FORMS": "0",
    }
    browser.post(reverse("admin:webhooks_alertrule_add"), form)
    rule = AlertRule.objects.get()
    assert rule.conditions == [
        {"path": "$.total", "operator": "AT_LEAST", "value": "1000"},
        {"path": "$.currency", "operator": "EQUALS", "value": "USD"},
    ]
    assert (rule.channels, rule.cooldown) == (["EMAIL", "SLACK"], timedelta(minutes=30))
    page = reverse("admin:webhooks_alertrule_change", args=(rule.pk,))
    assert 'value="$.currency"' in browser.get(page).content.decode()
    refused = browser.post(page, form | {"conditions-value": ["many", "USD", ""]})
    assert "is no number" in refused.content.decode()
    browser.post(page, form | {"name": "Huge invoice"})
    rule.refresh_from_db()
    assert rule.name == "Huge invoice"


def test_the_wish_of_a_customer_is_set_and_forgotten(browser, tenant):
    customer = CustomerFactory(tenant=tenant)
    form = {"tenant": str(tenant.pk), "customer": str(customer.pk), "fact": "", "channels": []}
    browser.post(reverse("admin:webhooks_customerpreference_add"), form)
    wish = CustomerPreference.objects.get()
    assert (wish.channels, wish.cooldown) == ([], None)
    page = reverse("admin:webhooks_customerpreference_change", args=(wish.pk,))
    browser.post(page, {"channels": ["EMAIL"], "cooldown": "01:00:00"})
    wish.refresh_from_db()
    assert (wish.channels, wish.cooldown) == (["EMAIL"], timedelta(hours=1))
    gone = reverse("admin:webhooks_customerpreference_delete", args=(wish.pk,))
    browser.post(gone, {"post": "yes"})
    assert not CustomerPreference.objects.exists()
