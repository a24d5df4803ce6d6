"""Endpoints in the admin: made by ticking facts, tried and rotated by buttons, sent again."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import (
    MemberFactory,
    OutboundDeliveryFactory,
    OutboxMessageFactory,
    TenantFactory,
    UserFactory,
    WebhookEndpointFactory,
)
from webhooks.models import DeliveryAttempt, OutboundDelivery, WebhookEndpoint

SURE = {"_form_submitted": "True"}  # a dialog that was answered


def browser_of(tenant, role):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role=role)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def browser(tenant):
    return browser_of(tenant, "DEVELOPER")


def page_of(endpoint, act=""):
    if act:
        return reverse(f"admin:webhooks_webhookendpoint_{act}", args=(endpoint.pk,))
    return reverse("admin:webhooks_webhookendpoint_change", args=(endpoint.pk,))


def test_an_endpoint_is_made_and_its_secret_told_once(browser, tenant):
    form = {
        "tenant": str(tenant.pk),
        "description": "ours",
        "format": "STANDARD",
        "url": "https://hooks.example/",
        "facts": ["invoice.finalized", "invoice.overdue"],
        "is_active": "on",
    }
    page = browser.post(reverse("admin:webhooks_webhookendpoint_add"), form, follow=True)
    assert re.search(r"whsec_[\w+/]+=", page.content.decode())
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.facts == ["invoice.finalized", "invoice.overdue"]
    again = browser.get(page_of(endpoint)).content.decode()
    assert "whsec_" not in again

    del form["tenant"], form["format"]
    browser.post(page_of(endpoint), form | {"facts": [], "url": "https://other.example/"})
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.facts) == ("https://other.example/", [])
    refused = browser.post(page_of(endpoint), form | {"url": "https://127.0.0.1/"})
    assert "which is not public" in refused.content.decode()


def test_buttons_try_it_rotate_its_secret_and_remove_it(browser, tenant):
    endpoint = WebhookEndpointFactory(tenant=tenant)
    browser.post(page_of(endpoint, "test_this"), SURE)
    assert OutboundDelivery.objects.get().fact == "webhook_endpoint.test"
    page = browser.post(page_of(endpoint, "rotate_this"), SURE, follow=True)
    assert "whsec_" in page.content.decode()
    gone = browser.post(page_of(endpoint, "archive_this"), SURE, headers={"HX-Request": "true"})
    assert gone["HX-Redirect"] == reverse("admin:webhooks_webhookendpoint_changelist")
    endpoint.refresh_from_db()
    assert endpoint.archived_at is not None


def test_a_delivery_shows_request_and_answer_and_is_sent_again(browser, tenant):
    delivery = OutboundDeliveryFactory(
        tenant=tenant, state="FAILED", finished_at=timezone.now(), last_error="answered 500"
    )
    DeliveryAttempt.objects.create(
        tenant=tenant,
        delivery=delivery,
        number=1,
        started_at=timezone.now(),
        milliseconds=12,
        request_body='{"asked": 1}',
        status=500,
        answer="out of order",
    )
    listed = reverse("admin:webhooks_outbounddelivery_changelist")
    assert "answered 500" in browser.get(listed).content.decode()
    page = reverse("admin:webhooks_outbounddelivery_change", args=(delivery.pk,))
    shown = browser.get(page).content.decode()
    assert "out of order" in shown
    assert "asked" in shown

    again = reverse("admin:webhooks_outbounddelivery_send_this_again", args=(delivery.pk,))
    browser.get(again)  # asks whether one is sure
    delivery.refresh_from_db()
    assert delivery.state == "FAILED"
    browser.post(again, SURE)
    delivery.refresh_from_db()
    assert delivery.state == "PENDING"
    OutboundDelivery.objects.update(state="FAILED", finished_at=timezone.now())
    browser.post(listed, {"action": "send_again", "_selected_action": [str(delivery.pk)]})
    delivery.refresh_from_db()
    assert delivery.state == "PENDING"


def test_who_only_reads_presses_no_button(tenant):
    endpoint = WebhookEndpointFactory(tenant=tenant)
    reader = browser_of(tenant, "MEMBER")
    assert reader.get(page_of(endpoint)).status_code == 200
    assert reader.post(page_of(endpoint, "test_this"), SURE).status_code == 403
    assert not OutboundDelivery.objects.exists()
    stranger = browser_of(TenantFactory(), "OWNER")
    assert stranger.post(page_of(endpoint, "archive_this"), SURE).status_code == 403
    endpoint.refresh_from_db()
    assert endpoint.archived_at is None


def test_a_link_on_another_page_presses_no_button(browser, tenant):
    endpoint = WebhookEndpointFactory(tenant=tenant)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    for act in ("test_this", "rotate_this", "archive_this"):
        assert browser.get(page_of(endpoint, act)).status_code == 200  # asks whether one is sure
        assert strict.post(page_of(endpoint, act), SURE).status_code == 403
    asked = WebhookEndpoint.objects.get(pk=endpoint.pk)
    assert asked.sealed_secret == endpoint.sealed_secret
    assert asked.archived_at is None
    assert not OutboundDelivery.objects.exists()


def test_nothing_is_rotated_where_nothing_is_signed(browser, tenant):
    mail = WebhookEndpointFactory(tenant=tenant, format="EMAIL", url="ops@acme.example")
    signed = WebhookEndpointFactory(tenant=tenant)
    rotate = page_of(mail, "rotate_this")
    assert (
        page_of(signed, "rotate_this").rpartition("/")[0]
        in browser.get(page_of(signed)).content.decode()
    )
    assert "Rotate secret" not in browser.get(page_of(mail)).content.decode()
    assert browser.post(rotate, SURE).status_code == 403


def test_kinds_of_facts_are_explained_where_they_are_ticked(browser):
    page = browser.get(reverse("admin:webhooks_webhookendpoint_add")).content.decode()
    assert "invoice.finalized - " in page
    assert "wallet.low_balance - not yet: comes with wallets" in page
    assert "Address" in page


def test_the_page_of_what_was_sent_says_what_it_is_about_as_the_list_does(browser, tenant):
    message = OutboxMessageFactory(
        tenant=tenant, carried_at=timezone.now(), subject="of-its-row", payload={"number": "A-77"}
    )
    delivery = OutboundDeliveryFactory(tenant=tenant, message=message)
    shown = browser.get(
        reverse("admin:webhooks_outbounddelivery_change", args=(delivery.pk,))
    ).content.decode()
    assert "A-77" in shown
    assert shown.count("of-its-row") == 1  # in the link to its message alone
