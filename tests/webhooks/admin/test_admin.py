"""The admin of webhooks: sources are made and changed by services, pushes are read."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from tests.factories import (
    MemberFactory,
    TenantFactory,
    UserFactory,
    WebhookDeliveryFactory,
    WebhookSourceFactory,
)
from tests.webhooks.conftest import Sender
from webhooks.models import WebhookSource

LIST = "admin:webhooks_webhooksource_changelist"
FORM = {
    "name": "billing system",
    "description": "",
    "is_active": "on",
    "rate_limit": "600",
    "signature_header": "X-Hub-Signature-256",
    "signature_algorithm": "hmac-sha256",
    "metric": "calls",
    "customer_id_path": "$.customer",
    "metric_key_path": "",
    "quantity_path": "",
    "timestamp_path": "",
    "event_id_path": "",
    "event_id_header": "",
    "event_type_path": "",
    "event_filter": "used, renewed",
}


def browser_of(tenant, role):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role=role)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def browser(seller):
    return browser_of(seller.tenant, "DEVELOPER")


def test_a_source_is_made_and_its_secret_is_told_once(browser, seller):
    form = FORM | {"tenant": str(seller.tenant.pk)}
    page = browser.post(reverse("admin:webhooks_webhooksource_add"), form, follow=True)

    source = WebhookSource.objects.get()
    assert source.event_filter == ["used", "renewed"]
    source.secret = re.search(r"whsec_[\w-]+", page.content.decode())[0].encode()
    payload = {"customer": "cust_1", "type": "used", "id": "1"}
    assert Sender(source, seller.client).push(payload).json()["accepted"] == 1
    assert "whsec_" not in browser.get(reverse(LIST)).content.decode()


def test_a_source_is_changed_by_its_service(browser, seller):
    source = WebhookSourceFactory(tenant=seller.tenant, event_filter=["used"])
    path = reverse("admin:webhooks_webhooksource_change", args=[source.pk])
    page = browser.get(path).content.decode()
    assert f"/v1/ingest/webhook/{source.pk}" in page
    assert 'value="used"' in page

    browser.post(path, FORM | {"event_filter": "", "rate_limit": "7"})
    refused = browser.post(path, FORM | {"quantity_path": "$["})

    source.refresh_from_db()
    assert (source.rate_limit, source.event_filter, source.quantity_path) == (7, [], "")
    assert "is no JSONPath" in refused.content.decode()
    assert AuditEntry.objects.get().action == "WEBHOOK_SOURCE_CHANGED"


def test_actions_rotate_and_archive(browser, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    chosen = {"_selected_action": [str(source.pk)]}
    rotated = browser.post(reverse(LIST), chosen | {"action": "rotate"}, follow=True)
    assert "whsec_" in rotated.content.decode()
    browser.post(reverse(LIST), chosen | {"action": "archive"}, follow=True)
    source.refresh_from_db()
    assert source.archived_at is not None


def test_pushes_are_read_with_their_payload(browser, seller):
    delivery = WebhookDeliveryFactory(tenant=seller.tenant)
    WebhookDeliveryFactory(tenant=TenantFactory(), detail="of somebody else")

    listed = browser.get(reverse("admin:webhooks_webhookdelivery_changelist")).content.decode()
    one = browser.get(reverse("admin:webhooks_webhookdelivery_change", args=[delivery.pk]))

    assert "of somebody else" not in listed
    assert one.status_code == 200
    assert "<pre>{}</pre>" in one.content.decode()


def test_a_member_changes_nothing(seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    member = browser_of(seller.tenant, "MEMBER")
    path = reverse("admin:webhooks_webhooksource_change", args=[source.pk])
    assert member.get(path).status_code == 200
    assert member.post(path, FORM).status_code == 403
