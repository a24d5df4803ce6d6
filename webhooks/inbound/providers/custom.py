"""Senders without a scheme of their own: HMAC-SHA256 of the raw body, as the source says."""

import base64
import hmac
import re

from webhooks.inbound.providers.provider import Payload, Provider, text_in
from webhooks.inbound.signatures import (
    BadSignature,
    Signed,
    require_fresh,
    require_same,
)

TIMESTAMP_HEADER = "X-Aforo-Timestamp"
_TIME_BEFORE = re.compile(rb"\d+\.")
_TYPES = ("type", "event", "eventType", "event_type")
_IDS = ("id", "eventId", "event_id")


def verify(signed: Signed, secret: bytes) -> None:
    """Refuse a body that its secret did not sign, or signed at another time than about now.

    Whoever sends no timestamp signs the body alone, unless the source wants one. A timestamp is
    signed along, so a captured push can neither be sent later nor be stripped of it.
    """
    scheme, timestamp = signed.scheme, signed.headers.get(TIMESTAMP_HEADER)
    if timestamp is None and scheme.requires_timestamp:
        raise BadSignature(f"there is no {TIMESTAMP_HEADER}")
    if timestamp is None and _TIME_BEFORE.match(signed.body):
        raise BadSignature(f"the body begins with a time, which belongs into {TIMESTAMP_HEADER}")
    text = signed.body if timestamp is None else timestamp.encode() + b"." + signed.body
    digest = hmac.digest(secret, text, "sha256")
    given = signed.headers.get(scheme.header, "").strip().removeprefix(scheme.prefix)
    if scheme.encoding == "base64":
        require_same(base64.b64encode(digest).decode(), given)
    else:
        require_same(digest.hex(), given.lower())
    if timestamp is not None:
        require_fresh(timestamp, now=signed.now)


def event_type(payload: Payload, _header: str) -> str:
    return text_in(payload, *_TYPES)


def event_id(payload: Payload) -> str:
    return text_in(payload, *_IDS)


CUSTOM = Provider(
    verify=verify,
    event_type=event_type,
    event_id=event_id,
    signature_header="X-Hub-Signature-256",
)
