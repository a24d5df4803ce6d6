"""Twilio: HMAC in base64 of the address and the sorted fields of a form, or a hash of the body.

What is signed is the address as Twilio was told it, so a source behind a proxy that rewrites
addresses has to know that one. Nothing says when a push was signed.
"""

import base64
import hmac
from decimal import Decimal
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, urlsplit

from webhooks.inbound.providers.provider import Payload, Provider, text_in
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import BadSignature, Signed, require_same

HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"  # says so when it is SHA-256
_PORTS = {"https": 443, "http": 80}
_WHOSE = "$.AccountSid"  # a subaccount per customer


def verify(signed: Signed, secret: bytes) -> None:
    """Twilio may sign the address with its port or without."""
    fields = _form(signed.body) if _is_form(signed) else _no_fields(signed)
    algorithm = "sha256" if "HMAC_SHA256" in signed.headers.get(SETTINGS_HEADER, "") else "sha1"
    expected = [
        base64.b64encode(hmac.digest(secret, (url + fields).encode(), algorithm)).decode()
        for url in _spellings(signed.url)
    ]
    require_same(signed.headers.get(HEADER, ""), *expected)


def _is_form(signed: Signed) -> bool:
    kind = signed.headers.get("Content-Type", "")
    return kind.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"


def _form(body: bytes) -> str:
    """Names and values in order; one that is there twice with the same value is written once."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        raise BadSignature("the form cannot be read") from None
    return "".join(name + value for name, value in sorted(set(pairs)))


def _no_fields(signed: Signed) -> str:
    """Nothing, if the address carries the hash of this body."""
    hashes = parse_qs(urlsplit(signed.url).query).get("bodySHA256", [""])
    require_same(sha256(signed.body).hexdigest(), hashes[0].lower())
    return ""


def _spellings(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = host.removesuffix(f":{parts.port}")
    port = parts.port or _PORTS.get(parts.scheme, 443)
    before, _, after = url.partition(host)
    return f"{before}{bare}{after}", f"{before}{bare}:{port}{after}"


def event_type(payload: Payload, _header: str) -> str:
    """`message.delivered`, `call.completed`, or the type of an event stream's event."""
    if status := text_in(payload, "MessageStatus", "SmsStatus"):
        return f"message.{status}"
    if status := text_in(payload, "CallStatus"):
        return f"call.{status}"
    return text_in(payload, "type")


def event_id(payload: Payload) -> str:
    """One message or call is told of once in each of its states."""
    sid = text_in(payload, "MessageSid", "SmsSid", "CallSid")
    return f"{sid}:{event_type(payload, '')}" if sid else text_in(payload, "id")


TWILIO = Provider(
    verify=verify,
    event_type=event_type,
    event_id=event_id,
    signature_header=HEADER,
    dictates_secret=True,
    rules=(
        Rule(
            event_types=("message.received",),
            customer=_WHOSE,
            metric="twilio_segments_received",
            quantity="$.NumSegments",
            quantity_default=Decimal(1),
            metadata={"from": "$.From", "to": "$.To"},
        ),
        Rule(
            event_types=("message.delivered",),
            customer=_WHOSE,
            metric="twilio_messages_delivered",
            metadata={"from": "$.From", "to": "$.To"},
        ),
        Rule(
            event_types=("call.completed",),
            customer=_WHOSE,
            metric="twilio_call_seconds",
            quantity="$.CallDuration",
            occurred_at="$.Timestamp",
            metadata={"direction": "$.Direction"},
        ),
        Rule(
            event_types=("com.twilio.messaging.message.delivered",),
            customer="$.data.accountSid",
            metric="twilio_messages_delivered",
            occurred_at="$.time",
            metadata={"from": "$.data.from", "to": "$.data.to"},
        ),
    ),
)
