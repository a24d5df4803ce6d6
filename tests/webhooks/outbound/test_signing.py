"""Signatures of what we send: verified by a library that is not ours."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from webhooks.outbound.signing import new_secret, signed_headers

BODY = '{"id":"msg_1","data":{"name":"Zoë"}}'.encode()


def signed(*secrets, at=None):
    at = at or datetime.now(UTC)  # noqa: TID251 - as the library that verifies it
    return signed_headers(BODY, message_id="msg_1", at=at, valid=secrets)


def test_receivers_verify_it_with_the_library_of_standard_webhooks():
    secret = new_secret()
    assert Webhook(secret).verify(BODY, signed(secret))["id"] == "msg_1"


def test_while_a_secret_is_replaced_either_verifies():
    old, new = new_secret(), new_secret()
    headers = signed(new, old)
    for secret in (old, new):
        assert Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


def test_no_changed_bit_and_no_old_message_is_believed():
    secret = new_secret()
    headers = signed(secret)
    for index in range(len(BODY)):
        changed = bytearray(BODY)
        changed[index] ^= 1
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(changed.decode(errors="surrogateescape"), headers)
    stale = signed(secret, at=datetime.now(UTC) - timedelta(minutes=6))  # noqa: TID251
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(BODY, stale)


def test_our_own_header_signs_time_and_body_with_the_secret_as_shown():
    secret = new_secret()
    at = datetime(2026, 3, 15, 12, tzinfo=UTC)
    own = signed(secret, at=at)["X-Aforo-Signature"]
    expected = hmac.new(secret.encode(), b"1773576000." + BODY, hashlib.sha256).hexdigest()
    assert own == f"t=1773576000,v1={expected}"
