"""API keys over HTTP."""

from uuid import uuid4

import pytest

from aforo import valkey
from aforo.tenancy.key_entries import REVOKED, entry_of
from aforo.tenancy.models import ApiKey, AuditEntry
from aforo.tenancy.plaintext import digest_of
from tests.clients import client_with, operator_client
from tests.factories import ApiKeyFactory, OperatorKeyFactory, SandboxFactory, TenantFactory

pytestmark = pytest.mark.django_db


def test_a_new_key_is_shown_once_and_stored_as_its_hash():
    client = operator_client(TenantFactory())

    answer = client.post("/api/v1/api-keys", {"name": "checkout"})

    assert answer.status_code == 201
    secret = answer.json()["secret"]
    assert secret.startswith("sk_live_")
    assert len(secret) == 48
    stored = ApiKey.objects.get(pk=answer.json()["id"])
    assert bytes(stored.digest) == digest_of(secret)
    assert stored.last_four == secret[-4:]
    again = client.get(f"/api/v1/api-keys/{stored.pk}").json()
    assert "secret" not in again
    assert again["data"]["status"] == "ACTIVE"


def test_an_answer_has_the_fields_at_the_top_and_enveloped():
    client = operator_client(TenantFactory())

    answer = client.post("/api/v1/api-keys", {"name": "checkout"}).json()

    assert answer["success"] is True
    assert answer["data"]["id"] == answer["id"]
    assert answer["meta"] == {}


def test_keys_of_a_sandbox_are_test_keys():
    client = operator_client(SandboxFactory())

    assert client.post("/api/v1/api-keys", {"name": "x"}).json()["secret"].startswith("sk_test_")
    refused = client.post("/api/v1/api-keys", {"name": "x", "environment": "live"})
    assert refused.status_code == 422


def test_an_operator_key_opens_the_admin_api_in_its_role():
    client = operator_client(TenantFactory(), role="OWNER")

    made = client.post("/api/v1/api-keys", {"name": "ci", "kind": "OPERATOR", "role": "MEMBER"})

    reader = client_with(made.json()["secret"])
    assert made.json()["secret"].startswith("afo_")
    assert reader.get("/api/v1/api-keys").status_code == 200
    assert reader.post("/api/v1/api-keys", {"name": "more"}).status_code == 403


def test_nobody_issues_a_key_that_may_do_more_than_themselves():
    client = operator_client(TenantFactory(), role="DEVELOPER")

    answer = client.post("/api/v1/api-keys", {"name": "x", "kind": "OPERATOR", "role": "OWNER"})

    assert answer.status_code == 403
    assert ApiKey.objects.count() == 1


def test_a_page_of_keys_is_counted_from_0_and_filtered():
    tenant = TenantFactory()
    client = operator_client(tenant)
    ApiKeyFactory.create_batch(3, tenant=tenant)
    ApiKeyFactory()

    page = client.get("/api/v1/api-keys?kind=METERING&page=1&size=2").json()

    assert page["totalElements"] == page["data"]["totalElements"] == 3
    assert len(page["content"]) == len(page["data"]["content"]) == 1


def test_somebody_elses_key_is_as_absent_as_none():
    client, other = operator_client(TenantFactory()), ApiKeyFactory()

    for key_id in (other.pk, uuid4()):
        assert client.get(f"/api/v1/api-keys/{key_id}").status_code == 404
        assert client.post(f"/api/v1/api-keys/{key_id}/revoke").status_code == 404
    other.refresh_from_db()
    assert not other.is_revoked


@pytest.mark.django_db(transaction=True)
def test_a_revoked_key_is_refused_at_once_and_forgotten_by_the_cache():
    tenant = TenantFactory()
    owner, victim = operator_client(tenant, role="OWNER"), OperatorKeyFactory(tenant=tenant)
    entry = entry_of(bytes(victim.digest))
    valkey.client().set(entry, b"1")
    assert client_with(victim.secret).get("/api/v1/tenant").status_code == 200

    answer = owner.post(f"/api/v1/api-keys/{victim.pk}/revoke", {"reason": "leaked"})

    assert (answer.status_code, answer.json()["status"]) == (200, "REVOKED")
    assert client_with(victim.secret).get("/api/v1/tenant").status_code == 401
    assert valkey.client().get(entry) == REVOKED
    said = AuditEntry.objects.get(action="API_KEY_REVOKED")
    assert (said.reason, said.actor_id, said.role) == ("leaked", str(owner.key.pk), "OWNER")


@pytest.mark.django_db(transaction=True)
def test_revoking_again_changes_nothing():
    tenant = TenantFactory()
    client, victim = operator_client(tenant), ApiKeyFactory(tenant=tenant)

    first = client.post(f"/api/v1/api-keys/{victim.pk}/revoke").json()
    second = client.post(f"/api/v1/api-keys/{victim.pk}/revoke").json()

    assert first["revokedAt"] == second["revokedAt"]
    assert AuditEntry.objects.filter(action="API_KEY_REVOKED").count() == 1
