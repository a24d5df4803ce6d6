"""What is sent: a fact as JSON for programs, and as a few lines for people."""

from collections.abc import Mapping
from html import escape
from typing import Any
from uuid import UUID

import msgspec

from aforo.outbox.models import OutboxMessage

_encoder = msgspec.json.Encoder(order="deterministic")  # a repeat is the same, byte for byte
_LONGEST_LINES = 40


def message_id_of(message_id: UUID) -> str:
    """The same for every endpoint and every attempt: by it a receiver knows repeats."""
    return f"msg_{message_id.hex}"


def standard_body(message: OutboxMessage) -> bytes:
    """The JSON of a signed webhook."""
    return _encoder.encode(
        {
            "id": message_id_of(message.pk),
            "type": message.fact,
            "timestamp": message.created_at.isoformat(),
            "tenantId": str(message.tenant_id),
            "subject": message.subject,
            "data": message.payload,
        }
    )


def slack_body(message: OutboxMessage) -> bytes:
    """What Slack and those like it show as one message."""
    text = f"*{headline(message)}*\n{lines(message)}"
    return _encoder.encode({"text": escape(text, quote=False)})  # it has markup of its own


def headline(message: OutboxMessage) -> str:
    """One line that says what happened."""
    payload = message.payload
    if message.fact == "alert.fired":
        return " ".join(f"{payload['severity']}: {payload['name']}".split())
    return f"Aforo: {message.fact}"


def lines(message: OutboxMessage) -> str:
    """The payload, one member a line."""
    told = [f"{name}: {value}" for name, value in _flat(message.payload)]
    return "\n".join(told[:_LONGEST_LINES])


def _flat(payload: Mapping[str, Any], within: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in payload.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{within}{name}.")
        elif value is not None:
            found.append((f"{within}{name}", value))
    return found
