"""Twilio: HMAC in base64 of the address and the sorted fields of a form, or a hash of the body.

What is signed is the address as Twilio was told it, so a source behind a proxy that rewrites
addresses has to know that one. Nothing says when a push was signed, and nothing stands between
the names and values of a form: whoever captured one can cut the same text into other fields. So
a form is known by what cannot be cut otherwise, and is parked without.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

from twilio.request_validator import RequestValidator, get_signature_algorithm

from webhooks.inbound.documents import MAX_FIELDS
from webhooks.inbound.providers.provider import Payload, Provider, text_in
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import BadSignature, Scheme, Signed

HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"  # says so when it is SHA-256
_LARGEST_FORM = 256 * 1024  # bytes: read before it is known who sent it, 0.2 s a MiB
_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
# None is the beginning of another, so that no other cut of a form makes one of one.
_STATES = frozenset({
    "accepted", "busy", "canceled", "completed", "delivered", "failed", "in-progress", "initiated",
    "no-answer", "partially_delivered", "queued", "read", "received", "receiving", "ringing",
    "scheduled", "sending", "sent", "undelivered",
})  # fmt: skip
_WHOSE = "$.AccountSid"  # a subaccount per customer


class _Fields(dict[str, list[str]]):
    """The fields of a form as Twilio's library asks for those that are there several times."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def verify(signed: Signed, secret: bytes) -> None:
    """Twilio may sign the address with its port or without; its library tries both."""
    is_form = _is_form(signed)
    if not is_form and "bodySHA256" not in parse_qs(urlsplit(signed.url).query):
        raise BadSignature("the address has no bodySHA256, so no signature covers the body")
    given, said = signed.headers.get(HEADER, ""), signed.headers.get(SETTINGS_HEADER, "")
    try:
        signs = _form(signed.body) if is_form else signed.body.decode()
        validator = RequestValidator(secret.decode())
        fits = validator.validate(signed.url, signs, given, get_signature_algorithm(said))
    except ValueError:  # of a body that is no UTF-8 or too large, a port that is none
        fits = False
    if not fits:
        raise BadSignature("the signature does not fit the address and the body")


def _is_form(signed: Signed) -> bool:
    kind = signed.headers.get("Content-Type", "")
    return kind.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"


def _form(body: bytes) -> _Fields:
    if len(body) > _LARGEST_FORM:
        raise ValueError("the form is larger than any of Twilio's")
    return _Fields(
        parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    )


def event_type(payload: Payload, _header: str) -> str:
    """`message.delivered`, `call.completed`, or the type of an event stream's event."""
    kind, state = _state(payload)
    return f"{kind}.{state}" if state else text_in(payload, "type")


def _state(payload: Payload) -> tuple[str, str]:
    if state := text_in(payload, "MessageStatus", "SmsStatus"):
        return "message", state
    return "call", text_in(payload, "CallStatus")


def event_id(payload: Payload) -> str:
    """One message or call is told of once in each of its states; "" for any other form."""
    if isinstance(payload.get("data"), Mapping):  # of an event stream: no form has an object
        return text_in(payload, "id")
    sid = text_in(payload, "MessageSid", "SmsSid", "CallSid")
    kind, state = _state(payload)
    return f"{sid}:{kind}.{state}" if _SID.fullmatch(sid) and state in _STATES else ""


TWILIO = Provider(
    verify=verify,
    event_type=event_type,
    event_id=event_id,
    signature_header=HEADER,
    algorithm="hmac-sha1",
    scheme=Scheme(HEADER, encoding="base64", prefix=""),
    dictates_secret=True,
    needs_id="the sid and the state of a message or a call",
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
