"""Slack: `X-Slack-Signature: v0=...`, HMAC-SHA256 of `v0:`, the time, a colon and the body."""

from slack_sdk.signature import Clock, SignatureVerifier

from webhooks.inbound.providers.provider import Payload, Provider, member, text_in
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import BadSignature, Scheme, Signed, require_fresh

HEADER = "X-Slack-Signature"
TIMESTAMP_HEADER = "X-Slack-Request-Timestamp"
CHALLENGE = "url_verification"
COMMAND = "slash_command"
_ABOUT = {"user": "$.event.user", "channel": "$.event.channel"}


class _Stopped(Clock):
    """A clock that shows the time that was signed: how old that may be is decided here."""

    def __init__(self, timestamp: str) -> None:
        self._seconds = int(timestamp)

    def now(self) -> float:
        return self._seconds


def verify(signed: Signed, secret: bytes) -> None:
    timestamp, given = signed.headers.get(TIMESTAMP_HEADER, ""), signed.headers.get(HEADER, "")
    try:
        verifier = SignatureVerifier(secret.decode(), _Stopped(timestamp))
        fits = verifier.is_valid(signed.body, timestamp, given)
    except (TypeError, ValueError):  # of a time that is no number, of what is no ASCII, no UTF-8
        fits = False
    if not fits:
        raise BadSignature("the signature does not fit the body")
    require_fresh(timestamp, now=signed.now)


def event_type(payload: Payload, _header: str) -> str:
    """`message`, `app_mention` ... of an event, `slash_command`, or an interaction's type."""
    kind = text_in(payload, "type")
    if kind == "event_callback":
        return text_in(member(payload, "event"), "type")
    return COMMAND if not kind and "command" in payload else kind


def event_id(payload: Payload) -> str:
    return text_in(payload, "event_id", "trigger_id")


SLACK = Provider(
    verify=verify,
    event_type=event_type,
    event_id=event_id,
    signature_header=HEADER,
    scheme=Scheme(HEADER, prefix="v0=", requires_timestamp=True),
    dictates_secret=True,
    credentials=("token",),  # what Slack proved itself with before it signed
    rules=(
        Rule(
            event_types=("message",),
            customer="$.team_id",
            metric="slack_messages",
            occurred_at="$.event_time",
            metadata=_ABOUT,
        ),
        Rule(
            event_types=("app_mention",),
            customer="$.team_id",
            metric="slack_mentions",
            occurred_at="$.event_time",
            metadata=_ABOUT,
        ),
        Rule(
            event_types=(COMMAND,),
            customer="$.team_id",
            metric="slack_commands",
            metadata={"command": "$.command", "user": "$.user_id"},
        ),
    ),
)
