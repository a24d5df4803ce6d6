"""Alert rules in the admin: conditions are rows, nothing is JSON."""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.urls import reverse

from aforo.errors import Refused
from aforo.tenancy.services.actors import Actor
from tests.factories import NOW, CustomerFactory, TenantFactory
from tests.webhooks.admin.test_endpoints import browser_of
from webhooks.models import AlertRule, CustomerPreference
from webhooks.services.alert_rules import create_rule, prefer


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
    refused = browser.post(page, form | {"cooldown": "9000000 00:00:00"})
    assert "a cooldown is at most 366 days" in refused.content.decode()
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
    browser.post(page, {"channels": ["EMAIL"], "cooldown": "9000000 00:00:00"})
    wish.refresh_from_db()
    assert wish.cooldown == timedelta(hours=1)
    gone = reverse("admin:webhooks_customerpreference_delete", args=(wish.pk,))
    browser.post(gone, {"post": "yes"})
    assert not CustomerPreference.objects.exists()


def test_a_cooldown_is_a_year_at_most_whoever_asks(tenant):
    doing = {"actor": Actor.system("tests"), "now": NOW}
    for days, refused in ((366, 0), (367, 1), (9_000_000, 1)):
        asked = {"channels": ["EMAIL"], "cooldown": timedelta(days=days)}
        with pytest.raises(Refused) if refused else nullcontext():
            create_rule(tenant=tenant, name="x", fact="invoice.finalized", **asked, **doing)
        with pytest.raises(Refused) if refused else nullcontext():
            prefer(customer=CustomerFactory(tenant=tenant), fact="", **asked, **doing)
    assert AlertRule.objects.count() == CustomerPreference.objects.count() == 1
