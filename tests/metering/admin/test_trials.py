"""The page on which an event is tried."""

import json

import pytest
from django.urls import reverse

from metering.admin.trials import EXAMPLE
from metering.models import InboxBatch, UsageEvent
from tests.factories import TenantFactory
from tests.metering.admin.test_admin import browser_of, member_of
from tests.metering.events import event


@pytest.fixture
def page():
    return reverse("admin:metering_try_event")


def tried(client, page, tenant, text, door="/v1/ingest"):
    return client.post(page, {"tenant": tenant.pk, "door": door, "event": text})


def test_the_page_begins_with_an_example(seller, page):
    shown = member_of(seller.tenant).get(page)
    assert shown.status_code == 200
    assert shown.context["form"]["event"].value() == EXAMPLE
    assert f'value="{seller.tenant.pk}" selected' in shown.content.decode()


def test_the_outcome_is_shown_step_by_step(seller, page):
    shown = tried(member_of(seller.tenant), page, seller.tenant, json.dumps(event(1)))
    text = shown.content.decode()
    assert shown.status_code == 200
    assert "COUNTED" in text
    assert "0 → 0.02" in text
    assert [row[0] for row in shown.context["steps"]["rows"]][-1] == "pricing"
    assert not InboxBatch.objects.exists()
    assert not UsageEvent.objects.exists()


def test_a_refusal_is_shown_with_its_code(seller, page):
    whole = event(1, customerId="<script>nobody</script>")
    text = tried(member_of(seller.tenant), page, seller.tenant, json.dumps(whole)).content.decode()
    assert "UNKNOWN_CUSTOMER" in text
    assert "<script>nobody" not in text


@pytest.mark.parametrize("body", ["{nonsense", "[]", ""])
def test_what_cannot_be_read_is_said_at_the_field(seller, page, body):
    shown = tried(member_of(seller.tenant), page, seller.tenant, body)
    assert shown.status_code == 200
    assert shown.context["form"].errors["event"]
    assert shown.context["trial"] is None


def test_nobody_tries_on_a_tenant_that_is_not_theirs(seller, page):
    stranger = member_of(TenantFactory())
    shown = tried(stranger, page, seller.tenant, json.dumps(event(1)))
    assert shown.context["form"].errors["tenant"]
    assert shown.context["trial"] is None


@pytest.mark.django_db
def test_whoever_is_a_member_of_nothing_sees_nothing(page):
    assert browser_of().get(page).status_code == 403
