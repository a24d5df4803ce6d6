"""Taking a push: proven, filtered, mapped, and in the inbox before it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID, uuid5

import msgspec
import structlog
from django.db import transaction

from aforo.api import parsers
from aforo.api.rates import RATES, RateExceeded
from aforo.errors import AforoError, NotFound, TooMany, Unauthenticated
from aforo.ids import new_id
from aforo.tenancy import clock
from catalog import aliases
from metering.ingest import events, gates, inbox, wake
from metering.ingest.events import Event, Refusal
from metering.ingest.normalising import Cover
from metering.ingest.opening import opened
from metering.ingest.translation import Translation
from webhooks.inbound import mapping, memory
from webhooks.inbound.mapping import Paths
from webhooks.inbound.signatures import BadSignature, Stale, verify
from webhooks.models import WebhookSource
from webhooks.selectors import open_source
from webhooks.services.pushes import Push, Taken, Verdict, keep
from webhooks.services.sources import secret_of

SOURCE = "WEBHOOK"
TIMESTAMP_HEADER = "X-Aforo-Timestamp"
REFUSED_KEPT = 60  # a minute and source: nobody without the secret may fill our disk
REFUSED_BYTES = 64 * 1024  # of a payload that nobody signed
log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder(decimal_format="number")


def receive(*, source_id: UUID, push: Push) -> Taken:
    """Take what a source pushes: when this returns, no event of it can be lost.

    Every push to a source that exists is kept as it came. Raises NotFound (404), Unauthenticated
    (401), TooMany (429), or Unreadable (400) for what is signed and no JSON.
    """
    source = open_source(source_id)
    if source is None:
        raise NotFound(f"there is no webhook source {source_id}")
    _require_signed(source, push)
    _require_rate(source)
    try:
        raws = _payloads_in(push.body)
        payloads = [parsers.decode(bytes(raw)) for raw in raws]
    except AforoError as error:
        keep(source, push, Verdict.UNREADABLE, Taken(), detail=error.detail)
        raise
    return _taken(source, push, list(zip(raws, payloads, strict=True)))


def _payloads_in(body: bytes) -> list[msgspec.Raw]:
    """One payload, or each of an array."""
    stripped = body.strip()
    if not stripped.startswith(b"["):
        parsers.decode(body)  # says what is wrong with it
        stripped = b"[" + stripped + b"]"
    return events.split(events.event_array(stripped))


def _taken(source: WebhookSource, push: Push, payloads: list[tuple[msgspec.Raw, object]]) -> Taken:
    paths = paths_of(source)
    header_id = push.headers.get(source.event_id_header, "") if source.event_id_header else ""
    name = partial(mapping.mapped, paths=paths, source_id=str(source.pk), header_id=header_id)
    found = {
        place: (raw, name(payload))
        for place, (raw, payload) in enumerate(payloads)
        if not source.event_filter or mapping.event_type(payload, paths) in source.event_filter
    }
    taken = Taken(event_count=len(found))
    fresh = _fresh(source, found, taken)
    if not fresh:
        verdict = Verdict.DUPLICATE if found else Verdict.FILTERED
        keep(source, push, verdict, taken)
        return taken
    _store(source, push, fresh, taken)
    return taken


def paths_of(source: WebhookSource) -> Paths:
    return Paths(
        customer_id=source.customer_id_path,
        metric=source.metric_key_path,
        quantity=source.quantity_path,
        timestamp=source.timestamp_path,
        event_id=source.event_id_path,
        event_type=source.event_type_path,
        default_metric=source.metric,
    )


@dataclass(frozen=True, slots=True)
class _Fresh:
    """An event on its way to the inbox: its JSON, or what was pushed and why it is none."""

    place: int  # in the push
    raw: bytes
    why: Refusal | None = None
    memory: tuple[str, bytes] | None = None


def _fresh(
    source: WebhookSource,
    found: Mapping[int, tuple[msgspec.Raw, dict[str, object] | Refusal]],
    taken: Taken,
) -> list[_Fresh]:
    """The events that did not come within the last 72 hours."""
    mapped = [event for _, event in found.values() if not isinstance(event, Refusal)]
    names = iter(memory.names_of(source.pk, [str(event["idempotencyKey"]) for event in mapped]))
    fresh = []
    for place, (raw, event) in found.items():
        if isinstance(event, Refusal):
            fresh.append(_Fresh(place, bytes(raw), event))
        else:
            encoded = _encoder.encode(event)
            fresh.append(_Fresh(place, encoded, memory=(next(names), memory.body_of(encoded))))
    known = memory.remembered([one.memory[0] for one in fresh if one.memory])
    repeated = {
        one.memory
        for one, body in zip((one for one in fresh if one.memory), known, strict=True)
        if one.memory and body == one.memory[1]
    }
    taken.first_key = _shown(str(mapped[0]["idempotencyKey"]), source) if mapped else ""
    kept = [one for one in fresh if one.memory not in repeated]
    taken.duplicates = len(fresh) - len(kept)
    return kept


def _shown(key: str, source: WebhookSource) -> str:
    """A key that is an API key by its looks is known by its hash alone, as in the ledger."""
    if not aliases.is_secret(key):
        return key
    return aliases.stand_in(aliases.digest_of(source.tenant_id, key))


def _store(source: WebhookSource, push: Push, fresh: list[_Fresh], taken: Taken) -> None:
    """The delivery and its batch in one transaction; what the gates refuse goes along, named."""
    unmapped = {index: one.why for index, one in enumerate(fresh) if one.why is not None}
    translation = Translation(events.join([one.raw for one in fresh]), unmapped)
    array, arrivals = opened(translation, Cover(source.tenant_id))
    received_at = clock.at(source.tenant, push.now)
    refused = _refusals(arrivals, received_at)
    taken.refused = {fresh[index].place: why for index, why in refused.items()}
    taken.batch_id = new_id()
    with transaction.atomic():
        is_dead = len(taken.refused) == len(fresh)
        keep(source, push, Verdict.UNMAPPED if is_dead else Verdict.ACCEPTED, taken)
        inbox.put(
            batch_id=taken.batch_id,
            tenant_id=source.tenant_id,
            source=SOURCE,
            door=f"/v1/ingest/webhook/{source.pk}",
            received_at=received_at,
            event_count=len(fresh),
            refused=refused,
            array=array,
        )
        wake.after_commit(source.tenant_id)
        entries = dict(one.memory for one in fresh if one.memory)
        transaction.on_commit(partial(memory.remember, entries), robust=True)


def _refusals(arrivals: list[Event | Refusal], received_at: datetime) -> dict[int, Refusal]:
    """What the door's gates say; whether anybody counts the metric, the drain finds out."""
    refused = {}
    for index, event in enumerate(arrivals):
        why: Event | Refusal | None = event
        if isinstance(event, Event):
            why = gates.check_event(event, received_at=received_at)
        if isinstance(why, Refusal):
            refused[index] = why
    return refused


def _require_signed(source: WebhookSource, push: Push) -> None:
    """Raise Unauthenticated, and keep what was pushed, unless the secret signed it just now."""
    try:
        verify(
            push.body,
            signature=push.headers.get(source.signature_header, ""),
            timestamp=push.headers.get(TIMESTAMP_HEADER),
            secret=secret_of(source),
            now=push.now,
        )
    except (BadSignature, Stale) as error:
        verdict = Verdict.STALE if isinstance(error, Stale) else Verdict.BAD_SIGNATURE
        log.warning("webhook_refused", source=str(source.pk), verdict=verdict.value)
        refused = RATES.add(uuid5(source.pk, "refused"), REFUSED_KEPT, 1)
        if refused is not None and refused.used <= REFUSED_KEPT:
            keep(source, push, verdict, Taken(), detail=str(error), limit=REFUSED_BYTES)
        raise Unauthenticated(str(error), code=verdict.value) from None


def _require_rate(source: WebhookSource) -> None:
    """Raise TooMany when the source has used up its minute. Redis away: it has not."""
    try:
        RATES.require(source.pk, source.rate_limit)
    except RateExceeded as error:
        detail = f"this source may push {source.rate_limit} times a minute"
        raise TooMany(detail, retry_after=error.retry_after) from None
    RATES.add(source.pk, source.rate_limit, 1)
