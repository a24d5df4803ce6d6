"""Billing entities in the admin: taxes, secrets and looks go through services."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from aforo.tenancy.models.members import Role
from catalog.models import BillingEntity
from catalog.services.billing_entities import tax_secret_of
from tests.catalog.admin.test_admin import browser_of
from tests.factories import BillingEntityFactory, TenantFactory

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def entity():
    return BillingEntityFactory(tenant=TenantFactory(), country="DE")


def form_of(entity, **fields):
    names = (
        "display_name", "legal_name", "time_zone", "country", "region", "address", "tax_number",
        "tax_engine", "tax_url", "invoice_prefix", "payment_terms_days", "grace_days",
        "accent_color", "footer",
    )  # fmt: skip
    return {name: getattr(entity, name) for name in names} | fields


def change(browser, entity, **fields):
    url = reverse("admin:catalog_billingentity_change", args=[entity.pk])
    answer = browser.post(url, form_of(entity, **fields))
    entity.refresh_from_db()
    return answer


def test_taxes_and_a_logo_are_set(entity):
    browser = browser_of(entity.tenant)
    picture = SimpleUploadedFile("logo.png", PNG)
    change(browser, entity, tax_engine="TABLE", tax_inclusive="on", picture=picture)
    assert (entity.tax_engine, entity.tax_inclusive) == ("TABLE", True)
    assert bytes(entity.logo) == PNG


def test_what_the_service_refuses_is_said_on_the_form(entity):
    answer = change(browser_of(entity.tenant), entity, tax_engine="HTTP", tax_url="http://a.test/")
    assert "begins with https://" in answer.content.decode()
    assert entity.tax_engine == "NONE"


@pytest.mark.parametrize(("role", "draws"), [(Role.ADMIN, True), (Role.MEMBER, False)])
def test_a_secret_is_drawn_and_shown_once_to_who_may(entity, role, draws):
    browser = browser_of(entity.tenant, role)
    url = reverse("admin:catalog_billingentity_changelist")
    form = {"action": "draw_tax_secret", "_selected_action": [entity.pk]}
    page = browser.post(url, form, follow=True).content.decode()
    entity.refresh_from_db()
    assert (entity.tax_secret is not None) is draws
    if draws:
        assert tax_secret_of(entity).decode() in page
        assert tax_secret_of(entity).decode() not in browser.get(url).content.decode()


def test_a_logo_is_taken_away(entity):
    BillingEntity.objects.update(logo=PNG)
    url = reverse("admin:catalog_billingentity_changelist")
    form = {"action": "remove_logo", "_selected_action": [entity.pk]}
    browser_of(entity.tenant).post(url, form)
    entity.refresh_from_db()
    assert entity.logo is None
