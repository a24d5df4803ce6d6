"""Internal routes: there for gateways on our network, absent for the public."""

from ipaddress import ip_network
from uuid import uuid4

import pytest

from aforo import valkey
from tests.factories import ApiKeyFactory

CHECK = "/internal/v1/auth/token-check"


@pytest.fixture
def listener(settings):
    settings.INTERNAL_LISTENER = True


def check(client, **query):
    return client.get(CHECK, query)


def test_the_public_sees_nothing(client, db):
    answer = client.get(CHECK, {"jti": "t-1"})

    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_a_named_network_is_inside(client, db, settings):
    settings.INTERNAL_NETWORKS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]

    assert client.get(CHECK, {"jti": "t-1"}, REMOTE_ADDR="10.1.2.3").status_code == 200
    assert client.get(CHECK, {"jti": "t-1"}, REMOTE_ADDR="fd00::1").status_code == 200
    assert client.get(CHECK, {"jti": "t-1"}, REMOTE_ADDR="11.1.2.3").status_code == 404
    assert client.get(CHECK, {"jti": "t-1"}, REMOTE_ADDR="").status_code == 404


def test_what_an_unknown_proxy_passes_on_is_not_inside(client, db, settings):
    settings.INTERNAL_NETWORKS = [ip_network("127.0.0.0/8")]
    headers = {"X-Forwarded-For": "127.0.0.1"}

    assert client.get(CHECK, {"jti": "t"}, headers=headers).status_code == 404
    settings.TRUSTED_PROXIES = 1
    assert client.get(CHECK, {"jti": "t"}, headers=headers).status_code == 200
    outside = {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}
    assert client.get(CHECK, {"jti": "t"}, headers=outside).status_code == 404


def test_a_gateway_token_opens_them_from_anywhere(client, db, settings):
    settings.GATEWAY_TOKENS = ["first-token", "second-token"]

    def status(token):
        headers = {"X-Aforo-Gateway-Token": token}
        return client.get(CHECK, {"jti": "t"}, headers=headers).status_code

    assert [status(token) for token in ("second-token", "third", "", "é")] == [200, 404, 404, 404]


def test_an_open_key_is_not_revoked_and_a_revoked_or_unknown_one_is(client, db, listener):
    key, revoked = ApiKeyFactory(), ApiKeyFactory(revoked_at="2026-03-15T12:00:00Z")

    assert check(client, keyId=key.pk).json() == {"revoked": False}
    assert check(client, keyId=revoked.pk).json() == {"revoked": True}
    assert check(client, keyId=uuid4()).json() == {"revoked": True}
    assert check(client, keyId="not-an-id").json() == {"revoked": True}


def test_a_blocked_token_is_revoked(client, db, listener):
    key = ApiKeyFactory()
    valkey.client().set("jti:blocked:t-9", 1, ex=60)
    valkey.client().set(f"jti:client:{key.pk}", 1, ex=60)

    assert check(client, jti="t-9").json() == {"revoked": True}
    assert check(client, jti="t-8").json() == {"revoked": False}
    assert check(client, jti="t-8", keyId=key.pk).json() == {"revoked": True}


def test_a_check_of_nothing_and_a_post_are_refused(client, db, listener):
    assert check(client).status_code == 422
    assert client.post(CHECK).status_code == 405
