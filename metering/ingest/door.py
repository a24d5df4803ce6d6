"""The door: authenticate, decode, check, store one inbox row, answer."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from aforo.errors import AforoError, Forbidden, Unauthenticated
from aforo.ids import new_id
from aforo.tenancy.key_entries import is_called
from metering.ingest import events, gates, heartbeats, inbox, killed, known, made_keys
from metering.ingest.compounds import refuse_together
from metering.ingest.events import Event, Refusal
from metering.ingest.known import KnownKey
from metering.ingest.normalising import Cover
from metering.ingest.opening import opened
from metering.ingest.own_customer import others_among
from metering.ingest.translation import Translate, untranslated


@dataclass(frozen=True, slots=True)
class Admission:
    """What the door can already say of one request; the receipt has the final counts."""

    batch_id: UUID
    tenant_id: UUID
    bucket: int
    event_count: int
    duplicates: int
    refused: dict[int, Refusal]
    made_keys: dict[int, str]
    killed_sessions: list[str]

    @property
    def accepted(self) -> int:
        return self.event_count - self.duplicates - len(self.refused)


def authenticate(token: str, *, tenant_header: str | None) -> tuple[bytes, KnownKey]:
    """The key behind a bearer token. The key decides the tenant; a header may only agree."""
    digest = sha256(token.encode()).digest()
    key = known.key_of(digest)
    if key is None:
        raise Unauthenticated("this API key opens nothing here")
    if tenant_header and not is_called(tenant_header, tenant_id=key.tenant_id, slug=key.slug):
        raise Forbidden("X-Tenant-Id names another tenant than the API key")
    return digest, key


def receive(
    *,
    digest: bytes,
    key: KnownKey,
    body: bytes,
    cover: Cover,
    door: str,
    translate: Translate = untranslated,
) -> Admission:
    """Check a body and make it durable: when this returns, no event of it can be lost.

    Raises Unreadable (400), TooLarge (413), or Unauthenticated (401) when the key was revoked
    since it was last seen.
    """
    try:
        translation = translate(body)
        array, arrivals = opened(translation, cover)
    except AforoError:
        _require_open(digest)
        raise
    array, arrivals, made = keyed(array, arrivals, key)
    now = known.clock_of(key)
    refused = _refusals(arrivals, key, now)
    # Above all other reasons: a letter with another one could be sent again, without this key.
    refused |= others_among(arrivals, key.tenant_id, key.customer_id)
    refuse_together(refused, translation.together)
    admission = _admission(key, array, arrivals, refused, made)
    if not arrivals:
        _require_open(digest)
    elif not inbox.store(
        batch_id=admission.batch_id,
        bucket=key.bucket,
        key_digest=digest,
        customer_id=key.customer_id,
        source=key.source,
        door=door,
        received_at=now,
        event_count=len(arrivals),
        refused=refused,
        array=array,
    ):
        raise _revoked(digest)
    return admission


def keyed(
    array: bytes, arrivals: list[Event | Refusal], key: KnownKey
) -> tuple[bytes, list[Event | Refusal], dict[int, str]]:
    """The same with the keys that billable units have made of other fields, and these by index."""
    if not any(isinstance(event, Event) and event.idempotencyKey is None for event in arrivals):
        return array, arrivals, {}
    fields = known.key_fields(key.tenant_id)
    return made_keys.with_keys(array, arrivals, fields) if fields else (array, arrivals, {})


def _admission(
    key: KnownKey,
    array: bytes,
    arrivals: list[Event | Refusal],
    refused: dict[int, Refusal],
    made: dict[int, str],
) -> Admission:
    batch_id = new_id()
    return Admission(
        batch_id,
        key.tenant_id,
        key.bucket,
        len(arrivals),
        _repeats(arrivals, refused),
        refused,
        made | _made_keys(arrivals, refused, batch_id),
        killed.killed_among(key.tenant_id, heartbeats.sessions_in(array, arrivals)),
    )


def _require_open(digest: bytes) -> None:
    """Where nothing is stored, no statement has yet looked whether the key was revoked."""
    if not known.is_open(digest):
        raise _revoked(digest)


def _revoked(digest: bytes) -> Unauthenticated:
    known.forget_key(digest)
    return Unauthenticated("this API key has been revoked")


def _refusals(arrivals: list[Event | Refusal], key: KnownKey, now: datetime) -> dict[int, Refusal]:
    """What this request's events are refused for, by index."""
    refused = {}
    names = {event.metricName for event in arrivals if isinstance(event, Event)}
    unknown = known.unknown_metrics(key, names) if names else set()
    for index, event in enumerate(arrivals):
        why = event if isinstance(event, Refusal) else gates.check_event(event, received_at=now)
        if why is None and event.metricName in unknown:  # type: ignore[union-attr]
            why = gates.unknown_metric(event.metricName)  # type: ignore[union-attr]
        if why is not None:
            refused[index] = why
    return refused


def _made_keys(
    arrivals: list[Event | Refusal], refused: dict[int, Refusal], batch_id: UUID
) -> dict[int, str]:
    """Keys for events that came without: whoever sends one again must send its key along."""
    return {
        index: events.made_key(batch_id, index)
        for index, event in enumerate(arrivals)
        if isinstance(event, Event) and event.idempotencyKey is None and index not in refused
    }


def _repeats(arrivals: list[Event | Refusal], refused: dict[int, Refusal]) -> int:
    """How many events repeat a key of this very request."""
    keys = [
        event.idempotencyKey
        for index, event in enumerate(arrivals)
        if isinstance(event, Event) and index not in refused and event.idempotencyKey
    ]
    return len(keys) - len(set(keys))
