"""Billable units from templates: ticked on a page, made by the service."""

import pytest
from django.urls import reverse

from catalog.models import BillableUnit
from tests.catalog.admin.test_admin import browser_of
from tests.factories import BillableUnitFactory, TenantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return TenantFactory()


def path():
    return reverse("admin:catalog_billableunit_from_templates")


def ticked(tenant, *names, product_type="AI_AGENT"):
    return {"tenant": tenant.slug, "product_type": product_type, "names": names}


def test_the_list_of_units_leads_to_the_templates(tenant):
    page = browser_of(tenant).get(reverse("admin:catalog_billableunit_changelist"))
    assert path() in page.content.decode()


def test_the_templates_of_a_product_type_are_offered_and_say_what_is_there(tenant):
    BillableUnitFactory(tenant=tenant, name="Agent Steps")
    asked = {"tenant": tenant.slug, "product_type": "AI_AGENT"}
    offered = browser_of(tenant).get(path(), asked).context["offered"]
    assert {one.template.name for one in offered} >= {"Agent Steps", "Tokens Consumed"}
    assert [one.template.name for one in offered if one.is_there] == ["Agent Steps"]


def test_what_is_ticked_is_made(tenant):
    answer = browser_of(tenant).post(path(), ticked(tenant, "Tokens Consumed", "Agent Sessions"))
    assert answer.headers["Location"] == reverse("admin:catalog_billableunit_changelist")
    made = BillableUnit.objects.for_tenant(tenant).order_by("name")
    assert [(unit.name, unit.aggregation, unit.product_type) for unit in made] == [
        ("Agent Sessions", "COUNT", "AI_AGENT"),
        ("Tokens Consumed", "SUM", "AI_AGENT"),
    ]


@pytest.mark.parametrize("asked", [{"names": ["Nothing"]}, {"product_type": "BREAD"}])
def test_what_is_no_template_is_refused(tenant, asked):
    answer = browser_of(tenant).post(path(), ticked(tenant) | asked, follow=True)
    assert "has no template" in answer.content.decode() or "no product type" in (
        answer.content.decode()
    )
    assert not BillableUnit.objects.exists()


@pytest.mark.parametrize("role", ["MEMBER", "BILLING_ADMIN"])
def test_readers_make_nothing(tenant, role):
    browser = browser_of(tenant, role)
    assert browser.get(path()).status_code == 403
    assert browser.post(path(), ticked(tenant, "Agent Steps")).status_code == 403


def test_nobody_makes_units_for_another_tenant(tenant):
    stranger = browser_of(TenantFactory())
    assert stranger.post(path(), ticked(tenant, "Agent Steps")).status_code == 403
    assert not BillableUnit.objects.exists()


def test_only_who_may_write_is_led_there(tenant):
    page = browser_of(tenant, "MEMBER").get(reverse("admin:catalog_billableunit_changelist"))
    assert path() not in page.content.decode()
