"""Slack: `X-Slack-Signature: v0=...`, HMAC-SHA256 of `v0:`, the time, a colon and the body."""

import hmac

from webhooks.inbound.providers.provider import Payload, Provider, member, text_in
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import Signed, require_fresh, require_same

HEADER = "X-Slack-Signature"
TIMESTAMP_HEADER = "X-Slack-Request-Timestamp"
CHALLENGE = "url_verification"
COMMAND = "slash_command"
_ABOUT = {"user": "$.event.user", "channel": "$.event.channel"}


def verify(signed: Signed, secret: bytes) -> None:
    timestamp = signed.headers.get(TIMESTAMP_HEADER, "")
    text = b"v0:" + timestamp.encode(errors="replace") + b":" + signed.body
    expected = "v0=" + hmac.digest(secret, text, "sha256").hex()
    require_same(expected, signed.headers.get(HEADER, ""))
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
