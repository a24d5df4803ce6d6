"""Signed pushes, each repeated until it is answered 2xx: every one is exactly one event."""

import hashlib
import hmac
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg

from patient import Patient, Unanswered, taken

TWICE = 0.1  # the share of pushes that is sent once more, as providers do
METRIC = "tokens"
_EVENTS = """
    SELECT idempotency_key, quantity FROM usage_events WHERE tenant_id = %s
"""
_RULE = {"customer": "$.customer", "metric": METRIC, "quantity": "$.cents", "quantityScale": "0.01"}
_SOURCES: tuple[dict[str, Any], ...] = (
    {"provider": "CUSTOM", "requiresTimestamp": True},
    {"provider": "STRIPE", "secret": "whsec_" + "c4a05" * 8},
)


@dataclass
class Source:
    """One who pushes: where to, signed how, and how many pushes were answered 2xx."""

    provider: str
    path: str
    secret: str
    number: int = 0  # of the push that was begun last
    answered: int = 0

    def signed(self, body: bytes) -> dict[str, Any]:
        """As the provider signs, at this moment."""
        now = str(int(time.time()))
        text = f"{now}.".encode() + body
        digest = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        if self.provider == "STRIPE":
            proof = {"Stripe-Signature": f"t={now},v1={digest}"}
        else:
            proof = {"X-Aforo-Timestamp": now, "X-Hub-Signature-256": f"sha256={digest}"}
        return {"content": body, "headers": {"Content-Type": "application/json", **proof}}


@dataclass(frozen=True)
class Found:
    """The pushes in the ledger."""

    pushes: int
    lost: int
    doubled: int


@dataclass
class Pushes:
    """All sources of one tenant."""

    sources: list[Source]
    customer: str
    sent: dict[str, int] = field(default_factory=dict)  # cents by the id of the push

    @classmethod
    def made(cls, operator: Patient, customer: str) -> "Pushes":
        return cls([_source(operator, **asked) for asked in _SOURCES], customer)


class Pusher:
    """One sender that is never quite sure."""

    def __init__(self, sender: Patient, pushes: Pushes, source: Source, seed: int) -> None:
        self._sender = sender
        self._pushes = pushes
        self._source = source
        self._chance = random.Random(seed)

    def step(self) -> bool:
        source = self._source
        source.number += 1
        push_id, cents = f"evt_{source.provider.lower()}_{source.number}", 100 + source.number % 900
        said = {"id": push_id, "type": "chaos.push", "cents": cents}
        body = json.dumps({**said, "customer": self._pushes.customer}).encode()
        for _ in range(2 if self._chance.random() < TWICE else 1):
            taken(self._sender.call("POST", source.path, signed=lambda: source.signed(body)))
        self._pushes.sent[push_id] = cents
        source.answered += 1
        return True


def found(connection: psycopg.Connection, tenant_id: object, pushes: Pushes) -> Found:
    """Compare the ledger with what was answered; an event nobody pushed is a doubled one."""
    rows = connection.execute(_EVENTS, (tenant_id,)).fetchall()
    events = {key.split(":")[2]: quantity for key, quantity in rows}
    right = sum(
        events.get(one) * 100 == cents for one, cents in pushes.sent.items() if one in events
    )
    return Found(
        len(pushes.sent), len(pushes.sent) - right, len(rows) - len(events.keys() & pushes.sent)
    )


def _source(operator: Patient, **asked: Any) -> Source:
    named = {"name": f"chaos {asked['provider']}", "mappings": [_RULE], "rateLimit": 1_000_000}
    made = taken(operator.call("POST", "/api/v1/webhook-sources", json={**named, **asked}))
    secret = asked.get("secret") or made["secret"]
    if not secret:
        raise Unanswered("a source was made without a secret")
    return Source(asked["provider"], f"/v1/ingest/webhook/{made['id']}", secret)
