"""The admin of webhooks: sources are made and changed by services, pushes are read."""

import re
from decimal import Decimal
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from aforo.tenancy.models import AuditEntry
from metering.ingest.events import HEARTBEAT
from tests.factories import (
    MemberFactory,
    TenantFactory,
    UserFactory,
    WebhookDeliveryFactory,
    WebhookSourceFactory,
)
from tests.webhooks.conftest import Sender
from webhooks.inbound.providers import PROVIDERS
from webhooks.inbound.rules import Rule
from webhooks.models import WebhookDelivery, WebhookSource
from webhooks.services.deliveries import address_of
from webhooks.services.mappings import replace_rules
from webhooks.services.secrets import secrets_of

LIST = "admin:webhooks_webhooksource_changelist"
FORM = {
    "name": "billing system",
    "description": "",
    "is_active": "on",
    "rate_limit": "600",
    "signature_header": "X-Hub-Signature-256",
    "signature_algorithm": "hmac-sha256",
    "signature_encoding": "hex",
    "signature_prefix": "sha256=",
    "public_address": "",
    "metric": "calls",
    "customer_id_path": "$.customer",
    "metric_key_path": "",
    "quantity_path": "",
    "timestamp_path": "",
    "event_id_path": "",
    "event_id_header": "",
    "event_type_path": "",
    "event_filter": "used, renewed",
    "mappings-TOTAL_FORMS": "0",
    "mappings-INITIAL_FORMS": "0",
}
SURE = {"_form_submitted": "True"}  # a dialog that was answered
MAPPING = {
    "mappings-TOTAL_FORMS": "1",
    "mappings-0-event_types": "used, renewed.*",
    "mappings-0-items": "$.lines",
    "mappings-0-customer": "$.who",
    "mappings-0-metric": "calls",
    "mappings-0-quantity": "@.cents",
    "mappings-0-quantity_scale": "0.01",
    "mappings-0-metadata": "region = eu\nmodel = @.model",
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
    form = FORM | {"tenant": str(seller.tenant.pk), "provider": "CUSTOM"}
    page = browser.post(reverse("admin:webhooks_webhooksource_add"), form, follow=True)

    source = WebhookSource.objects.get()
    assert source.event_filter == ["used", "renewed"]
    source.secret = re.search(r"whsec_[\w-]+", page.content.decode())[0].encode()
    payload = {"customer": "cust_1", "type": "used", "id": "1"}
    assert Sender(source, seller.client).push(payload).status_code == 202
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


def test_a_source_of_a_provider_begins_with_its_template(browser, seller):
    form = FORM | {"tenant": str(seller.tenant.pk), "provider": "STRIPE", "metric": ""}
    page = browser.post(reverse("admin:webhooks_webhooksource_add"), form, follow=True)
    source = WebhookSource.objects.get()
    assert source.mappings.count() == 3
    assert "needs the secret that its provider draws" in page.content.decode()

    page = browser.get(reverse("admin:webhooks_webhooksource_change", args=[source.pk]))
    text = page.content.decode()
    assert address_of(source.pk) in text
    assert "there is no secret yet; no billable unit counts stripe_" in text
    assert "; nothing came yet" in text
    assert "currency = $.data.object.currency" in text


def test_mappings_are_written_without_json(browser, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    path = reverse("admin:webhooks_webhooksource_change", args=[source.pk])
    browser.post(path, FORM | MAPPING)
    row = source.mappings.get()
    assert (row.event_types, row.quantity_scale) == (["used", "renewed.*"], Decimal("0.01"))
    assert row.metadata == {"region": "eu", "model": "@.model"}

    refused = browser.post(path, FORM | MAPPING | {"mappings-0-customer": "$["})
    assert "is no JSONPath" in refused.content.decode()
    unread = browser.post(path, FORM | MAPPING | {"mappings-0-metadata": "region"})
    assert "each line is: name = path or text" in unread.content.decode()
    kept = {"mappings-INITIAL_FORMS": "1", "mappings-0-id": row.pk, "mappings-0-DELETE": "on"}
    browser.post(path, FORM | MAPPING | kept)
    assert not source.mappings.exists()


def test_mappings_are_tried_on_what_is_pasted_and_on_what_came(browser, seller):
    source = WebhookSourceFactory(tenant=seller.tenant, metric="calls")
    WebhookDeliveryFactory(tenant=seller.tenant, source=source)
    path = reverse("admin:webhooks_webhooksource_try_it", args=[source.pk])
    first = browser.get(path).content.decode()
    assert "there is no customer at customerId" in first
    tried = browser.post(path, {"payload": '{"customerId": "cust_9"}', "event_type": ""})
    assert "cust_9" in tried.content.decode()
    assert "is not JSON" in browser.post(path, {"payload": "{"}).content.decode()


def test_a_secret_is_given_or_drawn_on_the_page(browser, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    path = reverse("admin:webhooks_webhooksource_new_secret", args=[source.pk])
    asked = {"_form_submitted": "True", "secret": "", "old_stays": "24"}
    drawn = browser.post(path, asked, follow=True).content.decode()
    fresh = re.search(r"whsec_[\w-]+", drawn)[0].encode()
    source.refresh_from_db()
    assert secrets_of(source, now=timezone.now()) == [fresh, b"whsec_test"]
    given = asked | {"secret": "0123456789abcdef", "old_stays": "0"}
    said = browser.post(path, given, follow=True).content.decode()
    source.refresh_from_db()
    assert secrets_of(source, now=timezone.now()) == [b"0123456789abcdef"]
    assert "0123456789abcdef" not in said


def test_sources_are_archived(browser, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    chosen = {"_selected_action": [str(source.pk)]}
    browser.post(reverse(LIST), chosen | {"action": "archive"}, follow=True)
    source.refresh_from_db()
    assert source.archived_at is not None


def test_pushes_are_mapped_again_from_their_page_or_from_the_list(browser, seller, asked_for):
    parked, refused = (
        WebhookDeliveryFactory(tenant=seller.tenant, verdict=verdict)
        for verdict in ("UNMAPPED", "BAD_SIGNATURE")
    )
    path = reverse("admin:webhooks_webhookdelivery_replay_this", args=[parked.pk])
    browser.post(path, SURE)
    assert asked_for == [str(parked.pk)]
    WebhookDelivery.objects.filter(pk=parked.pk).update(verdict="UNMAPPED")
    chosen = {"_selected_action": [str(parked.pk), str(refused.pk)], "action": "replay"}
    listed = reverse("admin:webhooks_webhookdelivery_changelist")
    said = browser.post(listed, chosen, follow=True).content.decode()
    assert "1 pushes are mapped again" in said
    assert "that is BAD_SIGNATURE cannot be mapped" in said
    assert len(asked_for) == 2
    member = browser_of(seller.tenant, "MEMBER")
    assert member.post(path, SURE).status_code == 403


def test_pushes_are_read_with_their_payload(browser, seller):
    delivery = WebhookDeliveryFactory(tenant=seller.tenant)
    WebhookDeliveryFactory(tenant=TenantFactory(), detail="of somebody else")

    listed = browser.get(reverse("admin:webhooks_webhookdelivery_changelist")).content.decode()
    one = browser.get(reverse("admin:webhooks_webhookdelivery_change", args=[delivery.pk]))

    assert "of somebody else" not in listed
    assert one.status_code == 200
    assert "<pre>{}</pre>" in one.content.decode()


def test_a_push_is_found_by_each_of_its_batches(browser, seller):
    ours, later = (uuid4() for _ in range(2))
    push = WebhookDeliveryFactory(
        tenant=seller.tenant, batch_id=ours, later_batches=[later], replays=1
    )
    listed = reverse("admin:webhooks_webhookdelivery_changelist")
    for text, found in ((ours, True), (later, True), (uuid4(), False), ("no id", False)):
        assert (f"/{push.pk}/" in browser.get(listed, {"q": str(text)}).content.decode()) == found
    named = WebhookDeliveryFactory(tenant=seller.tenant, event_key=str(uuid4()))
    assert f"/{named.pk}/" in browser.get(listed, {"q": named.event_key}).content.decode()
    page = reverse("admin:webhooks_webhookdelivery_change", args=[push.pk])
    assert str(later) in browser.get(page).content.decode()


def test_a_member_changes_nothing(seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    member = browser_of(seller.tenant, "MEMBER")
    path = reverse("admin:webhooks_webhooksource_change", args=[source.pk])
    assert member.get(path).status_code == 200
    assert member.post(path, FORM).status_code == 403


def test_a_secret_is_as_long_as_over_http(browser, seller):
    source = WebhookSourceFactory(tenant=seller.tenant, provider="STRIPE")
    path = reverse("admin:webhooks_webhooksource_new_secret", args=[source.pk])
    asked = SURE | {"secret": "short", "old_stays": "0"}
    said = browser.post(path, asked, follow=True).content.decode()
    assert "has 16 characters at least" in said
    source.refresh_from_db()
    assert secrets_of(source, now=timezone.now()) == [b"whsec_test"]


def test_the_list_of_sources_says_what_is_missing_and_has_none_that_were_removed(browser, seller):
    waiting = WebhookSourceFactory(tenant=seller.tenant)
    WebhookSource.objects.filter(pk=waiting.pk).update(sealed_secret=b"")
    gone = WebhookSourceFactory(tenant=seller.tenant, archived_at=timezone.now(), is_active=False)
    page = browser.get(reverse(LIST)).content.decode()
    assert "no secret" in page
    assert str(gone.pk) not in page
    path = reverse("admin:webhooks_webhooksource_change", args=[gone.pk])
    assert browser.post(path, FORM).status_code == 302
    gone.refresh_from_db()
    assert gone.name != FORM["name"]


def test_a_source_says_which_metrics_nobody_counts(browser, seller):
    source = WebhookSourceFactory(tenant=seller.tenant, provider="GITHUB")
    counted = [Rule(customer="$.c", metric=metric) for metric in ("tokens", HEARTBEAT)]
    replace_rules(source, [*PROVIDERS["GITHUB"].rules, *counted])
    path = reverse("admin:webhooks_webhooksource_change", args=[source.pk])
    said = "no billable unit counts github_commits, github_pull_requests, github_workflow_jobs;"
    assert said in browser.get(path).content.decode()


def test_what_is_parked_is_said_in_words(browser, seller):
    for parked, said in (([0, 2], "payloads 1, 3 of it"), ([0], "payload 1 of it"), ([], "none")):
        push = WebhookDeliveryFactory(tenant=seller.tenant, verdict="UNMAPPED", parked=parked)
        page = reverse("admin:webhooks_webhookdelivery_change", args=[push.pk])
        assert said in browser.get(page).content.decode()
