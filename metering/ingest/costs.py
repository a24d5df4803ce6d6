"""Cost events as they come over the wire: decoded, checked, and never priced."""

from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from uuid import UUID

import msgspec

from aforo.money import minor_units, plain
from catalog import aliases
from metering.ingest import events, gates, normalising
from metering.ingest.events import Event, Refusal
from metering.models.costs import CostEvent

INVALID_AMOUNT = "INVALID_AMOUNT"  # no code of usage: a cost that is refused is kept nowhere
KINDS = frozenset(CostEvent.Kind.values)
_NAMES = ("customerId", "idempotencyKey", "usageKey")  # may be secrets that identify somebody
_NULL = msgspec.Raw(b"null")
_encoder = msgspec.json.Encoder(decimal_format="number")


class Cost(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What something cost, spelled as on the wire."""

    kind: str
    amount: Decimal
    currency: str
    customerId: str  # noqa: N815 - the wire's spelling, here and below
    idempotencyKey: str | None = None  # noqa: N815
    usageKey: str | None = None  # noqa: N815
    metricName: str | None = None  # noqa: N815
    occurredAt: datetime | int | float | None = None  # noqa: N815
    metadata: msgspec.Raw = msgspec.Raw()

    def as_event(self) -> Event:
        """The same as usage, for the gates: what they ask of a quantity holds for an amount."""
        return Event(
            customerId=self.customerId,
            metricName=self.metricName or self.kind,
            quantity=self.amount,
            occurredAt=self.occurredAt,
            idempotencyKey=self.idempotencyKey,
            metadata=self.metadata,
        )

    def body(self, customer_id: UUID, occurred: datetime) -> UUID:
        """The hash of what is reported: the same key with another one is a conflict."""
        event = self.as_event()
        given = "" if self.occurredAt is None else occurred.isoformat()
        parts = (
            self.kind,
            plain(self.amount),
            self.currency,
            str(customer_id),
            self.usageKey or "",
            self.metricName or "",
            given,
            event.metadata_text() or "",
        )
        return UUID(bytes=blake2b("\0".join(parts).encode(), digest_size=16).digest())


_cost = msgspec.json.Decoder(Cost)


def read(
    raw: msgspec.Raw, *, tenant_id: UUID, received_at: datetime, header_key: str | None
) -> Cost | Refusal:
    """One cost, checked by itself, with its credentials cut; or why it is none.

    `header_key` stands in for an absent idempotency key.
    """
    fields = events.fields_of(raw)
    kept = events.fields_of(normalising.kept(bytes(raw)))
    if isinstance(fields, Refusal) or isinstance(kept, Refusal):
        return fields if isinstance(fields, Refusal) else Refusal("INVALID_EVENT", "unreadable")
    if header_key is not None and fields.get("idempotencyKey", _NULL) == _NULL:
        fields["idempotencyKey"] = msgspec.Raw(_encoder.encode(header_key))
    named = {name: _stand_in(fields[name], tenant_id) for name in _NAMES if name in fields}
    try:
        cost = _cost.decode(_encoder.encode(_folded(kept | named)))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return Refusal("INVALID_EVENT", str(error))
    if fields["customerId"] == named["customerId"] and aliases.digest_in(cost.customerId):
        return Refusal("INVALID_EVENT", "customerId must not be a stand-in for another name")
    return check(cost, received_at) or cost


def check(cost: Cost, received_at: datetime) -> Refusal | None:
    """The first thing that is wrong with a cost; None when it may be kept."""
    if cost.kind not in KINDS:
        return Refusal("INVALID_EVENT", f"kind is one of {', '.join(sorted(KINDS))}")
    try:
        minor_units(cost.currency)
    except ValueError:
        return Refusal("INVALID_EVENT", f"currency {cost.currency[:10]!r} is none of ISO 4217")
    if len(cost.usageKey or "") > gates.MAX_KEY or "\0" in (cost.usageKey or ""):
        return Refusal("INVALID_EVENT", "usageKey is too long or holds a nul character")
    why = gates.check_event(cost.as_event(), received_at=received_at)
    if why is not None and why.code == "INVALID_QUANTITY":
        return Refusal(INVALID_AMOUNT, why.detail.replace("quantity", "amount"))
    return why


def _stand_in(raw: msgspec.Raw, tenant_id: UUID) -> msgspec.Raw:
    """A name that is an API key by its looks is known by its hash alone."""
    try:
        name = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw
    if not isinstance(name, str) or not aliases.is_secret(name):
        return raw
    return msgspec.Raw(_encoder.encode(aliases.stand_in(aliases.digest_of(tenant_id, name))))


def _folded(fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Unknown fields move into the metadata, as those of usage do."""
    known = {name: raw for name, raw in fields.items() if name in Cost.__struct_fields__}
    extra = {name: raw for name, raw in fields.items() if name not in known}
    own = events.fields_of(known["metadata"]) if known.get("metadata", _NULL) != _NULL else {}
    if extra and not isinstance(own, Refusal):
        known["metadata"] = msgspec.Raw(_encoder.encode(extra | own))
    return known
