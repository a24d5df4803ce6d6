"""Looks at Redis: who waits for it, and for how long nobody does."""

import pytest
from django.db import InterfaceError, OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from aforo import valkey
from aforo.tenancy.key_entries import ENTRIES_WHOLE, REVOKED, entry_of
from aforo.tenancy.models import ApiKey, Tenant
from metering.entitlements import looking, state
from metering.services.key_entries import publish_entries

pytestmark = pytest.mark.django_db


@pytest.fixture
def failing(monkeypatch):
    """Redis that fails so: a list of errors for the next looks, which take them in turn."""
    errors = []
    line = looking._line()
    script = line.script

    def asked(**arguments):
        if errors:
            raise errors.pop(0)
        return script(**arguments)

    monkeypatch.setattr(line, "script", asked)
    return errors


def reasons(gateway, count):
    return [gateway.can_access("calls")["reason"] for _ in range(count)]


def test_one_slow_answer_silences_nobody_else(gateway, failing):
    gateway.sync()
    assert reasons(gateway, 1) == ["OK"]
    failing += [RedisTimeoutError()] * 4
    assert reasons(gateway, 6) == ["UNAVAILABLE"] * 4 + ["OK"] * 2
    failing += [RedisTimeoutError()] * 4
    assert reasons(gateway, 5) == ["UNAVAILABLE"] * 4 + ["OK"]


@pytest.mark.parametrize("errors", [[RedisConnectionError()], [RedisTimeoutError()] * 5])
def test_nobody_waits_where_nobody_listens_or_all_answers_are_late(gateway, failing, errors):
    gateway.sync()
    failing += errors
    assert reasons(gateway, len(errors) + 1) == ["UNAVAILABLE"] * (len(errors) + 1)
    looking._memory.silent_until = 0.0  # half a second later
    assert reasons(gateway, 1) == ["OK"]


def test_what_another_release_has_written_of_a_customer_is_not_known(seller, gateway):
    gateway.sync()
    key = state.key_of(seller.tenant.pk, "cust_1")
    valkey.client().hset(key, "s", b"1:1 \xc1")
    told = gateway.can_access("calls")
    assert (told["reason"], told["fallback"]) == ("UNAVAILABLE", "OPEN")
    gateway.sync()
    assert reasons(gateway, 1) == ["OK"]


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_without_postgresql_who_is_known_is_answered_and_who_is_not_is_told_to_come_again(
    seller, gateway, monkeypatch, settings, error
):
    settings.INTERNAL_LISTENER = True
    Tenant.objects.update(access_fallback="CLOSED")
    gateway.sync()
    quota = {"customerId": "cust_1", "metricName": "calls"}
    by_name = {"Authorization": "", "X-Tenant-Id": seller.tenant.slug}
    assert reasons(gateway, 1) == ["OK"]
    gateway.ask("/api/v1/quota/check", quota, **by_name)
    entry = entry_of(ApiKey.objects.get().digest)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(looking.connection, "cursor", fail)
    monkeypatch.setattr(looking, "ENTRY_SECONDS", -1)  # whatever was read of tenants is old
    assert reasons(gateway, 1) == ["OK"]  # as its entry says
    valkey.client().delete(entry)
    told = gateway.can_access("calls")
    assert (told["allowed"], told["reason"], told["fallback"]) == (False, "UNAVAILABLE", "CLOSED")
    named = gateway.ask("/api/v1/quota/check", quota, **by_name)
    assert named.json()["decision"] == "ALLOW"  # no key is in doubt

    looking.forget_everything()
    for headers in ({}, by_name):
        unknown = gateway.ask("/api/v1/quota/check", quota, **headers)
        assert (unknown.status_code, unknown.json()["code"]) == (503, "UNAVAILABLE")


def test_a_key_that_is_known_to_be_closed_is_not_answered_while_nothing_can_be_known(
    gateway, failing, monkeypatch
):
    gateway.sync()
    entry = entry_of(ApiKey.objects.get().digest)

    def fail(*_, **__):
        raise OperationalError("gone")

    def ask():
        asked = {"customerId": "cust_1", "featureKey": "calls"}
        return gateway.ask("/v1/canAccess", asked).status_code

    assert reasons(gateway, 1) == ["OK"]
    publish_entries()
    with monkeypatch.context() as patched:
        patched.setattr(looking.connection, "cursor", fail)
        valkey.client().set(entry, REVOKED)
        assert ask() == 401
        failing.append(RedisTimeoutError())
        assert ask() == 503  # as of any key that was never seen

    valkey.client().delete(entry)
    assert reasons(gateway, 1) == ["OK"]
    monkeypatch.setattr(looking.connection, "cursor", fail)
    valkey.client().delete(entry)  # an hour after revoking, the mark of that is over
    assert valkey.client().exists(ENTRIES_WHOLE)
    assert ask() == 401
    valkey.client().delete(ENTRIES_WHOLE)
    assert ask() == 503
