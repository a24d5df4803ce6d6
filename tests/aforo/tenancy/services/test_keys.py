"""Keys: drawn, shown once, revoked."""

import re

import pytest
from redis import Redis

from aforo.errors import Refused, Unavailable
from aforo.tenancy.models import ApiKey, AuditEntry
from aforo.tenancy.plaintext import digest_of
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import issue_key, revoke_key
from tests.factories import NOW, ApiKeyFactory, SandboxFactory, TenantFactory

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("test")


def issue(tenant, kind="METERING", **fields):
    return issue_key(tenant=tenant, kind=kind, name="x", actor=ACTOR, now=NOW, **fields)


@pytest.mark.parametrize(
    ("factory", "kind", "prefix"),
    [
        (TenantFactory, "METERING", "sk_live_"),
        (SandboxFactory, "METERING", "sk_test_"),
        (TenantFactory, "OPERATOR", "afo_"),
        (SandboxFactory, "OPERATOR", "afo_"),
    ],
)
def test_a_key_is_a_prefix_and_40_random_letters_and_digits(factory, kind, prefix):
    key, text = issue(factory(), kind)

    assert re.fullmatch(prefix + "[A-Za-z0-9]{40}", text)
    assert (key.prefix, key.last_four) == (prefix, text[-4:])
    assert bytes(key.digest) == digest_of(text)


def test_the_audit_log_does_not_know_the_key():
    _, text = issue(TenantFactory())

    entry = AuditEntry.objects.get()
    assert text[8:-4] not in str(vars(entry))


def test_a_metering_key_has_no_role_to_speak_of():
    key, _ = issue(TenantFactory(), role="OWNER")

    assert key.role == "MEMBER"


@pytest.mark.parametrize("wrong", [{"kind": "GOLDEN"}, {"role": "KING"}])
def test_an_unknown_kind_or_role_is_refused(wrong):
    with pytest.raises(Refused):
        issue(TenantFactory(), **wrong)
    assert not ApiKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_revoke_that_a_cache_did_not_hear_of_fails_and_can_be_repeated(monkeypatch):
    key = ApiKeyFactory()
    nowhere = Redis.from_url("unix:///nowhere.sock")
    monkeypatch.setattr("aforo.valkey.client", lambda: nowhere)
    with pytest.raises(Unavailable):
        revoke_key(key=key, actor=ACTOR, now=NOW)
    monkeypatch.undo()

    key.refresh_from_db()
    assert key.is_revoked  # the doors that ask PostgreSQL are shut in any case

    assert revoke_key(key=key, actor=ACTOR, now=NOW).revoked_at == NOW
    assert AuditEntry.objects.count() == 1
