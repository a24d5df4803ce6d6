"""The table of tax rates in the admin."""

import pytest
from django.urls import reverse

from billing.models import TaxRate
from tests.catalog.admin.test_admin import browser_of
from tests.factories import InvoiceFactory, TaxRateFactory, TenantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return TenantFactory()


@pytest.fixture
def browser(tenant):
    return browser_of(tenant)


def url(page, *args):
    return reverse(f"admin:billing_taxrate_{page}", args=args)


def test_a_rate_is_added_and_listed(browser, tenant):
    form = {"tenant": tenant.pk, "name": "VAT", "country": "DE", "percent": "19"}
    browser.post(url("add"), form)
    rate = TaxRate.objects.get()
    assert (rate.country, rate.percent) == ("DE", 19)
    assert "19" in browser.get(url("changelist")).content.decode()


def test_a_rate_in_use_is_not_changed_and_the_form_says_why(browser, tenant):
    rate = TaxRateFactory(tenant=tenant)
    InvoiceFactory(tenant=tenant)
    page = browser.post(url("change", rate.pk), {"percent": "21"}).content.decode()
    assert "add another rate from a day on" in page
    browser.post(url("delete", rate.pk), {"post": "yes"})
    rate.refresh_from_db()
    assert rate.percent == 19


def test_an_unused_rate_is_removed(browser, tenant):
    rate = TaxRateFactory(tenant=tenant)
    browser.post(url("delete", rate.pk), {"post": "yes"})
    assert not TaxRate.objects.exists()


def test_rates_of_others_are_not_there(browser):
    rate = TaxRateFactory()
    assert str(rate.pk) not in browser.get(url("changelist")).content.decode()
    assert browser.get(url("change", rate.pk)).status_code == 302


def test_the_engine_is_asked_again_about_drafts_without_their_tax(browser, tenant):
    waiting = InvoiceFactory(tenant=tenant, tax_status="FAILED", tax_attempts=9)
    settled, foreign = InvoiceFactory(tenant=tenant), InvoiceFactory(tax_status="FAILED")
    form = {
        "action": "ask_tax_engine",
        "_selected_action": [waiting.pk, settled.pk, foreign.pk],
    }
    page = browser.post(reverse("admin:billing_invoice_changelist"), form, follow=True)
    assert "the engine is asked about 1 drafts" in page.content.decode()
    assert "waits for no tax engine" in page.content.decode()
    waiting.refresh_from_db()
    assert waiting.tax_attempts == 0
    shown = browser.get(reverse("admin:billing_invoice_change", args=[waiting.pk]))
    assert "Engine failed" in shown.content.decode()
