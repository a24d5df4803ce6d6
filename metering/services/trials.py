"""Trying one event: every step that the door and the drain would take with it, none of it kept.

The steps are theirs: the same reading, gates, contracts and arithmetic, over a total that is read
without a lock. Nothing is written, so what waits in the inbox is not known to the idempotency step.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from aforo.errors import AforoError, Refused
from aforo.ids import new_id
from aforo.tenancy.models import Tenant
from metering.ingest import arrivals, compounds, enrichment, events, gates, killed, known
from metering.ingest.arrivals import Arrival
from metering.ingest.door import keyed
from metering.ingest.events import Event, Refusal
from metering.ingest.inbox import Batch, bucket_of
from metering.ingest.known import KnownKey
from metering.ingest.normalising import Cover
from metering.ingest.opening import opened
from metering.ingest.own_customer import answer_of, others_among
from metering.ingest.targets import Target, Unbilled
from metering.ingest.translation import Translate, untranslated
from metering.models import EventKey
from metering.services.trial_effects import Effect, effect_of

PASSED, FLAGGED, REFUSED = "PASSED", "FLAGGED", "REFUSED"
COUNTED, UNBILLED, HELD, DUPLICATE = "COUNTED", "UNBILLED", "HELD", "DUPLICATE"


@dataclass(frozen=True, slots=True)
class Tried:
    """One step: what it said and how long it took; `code` is that of the refusal, if any."""

    step: str
    verdict: str
    detail: str
    microseconds: int
    code: str = ""


@dataclass(slots=True)
class Trial:
    """How far the event came. `stored` is its JSON as it would be kept, without credentials."""

    received_at: datetime
    verdict: str = REFUSED
    stored: bytes = b""
    idempotency_key: str = ""
    occurred_at: datetime | None = None
    steps: list[Tried] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    measurements: list["Trial"] = field(default_factory=list)  # of a compound

    @property
    def code(self) -> str:
        """Why it would not count; empty when it would."""
        return self.steps[-1].code if self.steps else ""

    def take(self, step: str, look: Callable[[], tuple[str, str] | Refusal]) -> bool:
        """Take a step, time it, write down what it says; whether to go on."""
        began = time.perf_counter_ns()
        said = look()
        took = (time.perf_counter_ns() - began) // 1000
        if isinstance(said, Refusal):
            self.steps.append(Tried(step, REFUSED, said.detail, took, said.code))
            return False
        self.steps.append(Tried(step, said[0], said[1], took))
        return True


def try_event(
    *,
    sender: KnownKey,
    body: bytes,
    cover: Cover,
    now: datetime,
    translate: Translate = untranslated,
) -> Trial:
    """What would become of the one event in `body` if it came in now, on the tenant's clock.

    Raises Unreadable (400) or TooLarge (413) as the doors do, Refused (422) when the body holds
    another number of events than one, and Forbidden where the key must not bring it.
    """
    began = time.perf_counter_ns()
    array, found = opened(translate(body), cover)
    if len(found) != 1:
        raise Refused(f"there are {len(found)} events in it; one is tried at a time")
    took = (time.perf_counter_ns() - began) // 1000
    return _tried(sender, array, found, now=now, took=took)


def try_compound(*, sender: KnownKey, body: bytes, cover: Cover, now: datetime) -> Trial:
    """The same for one request that was measured several ways: each measurement is tried.

    Each against the totals as they stand now. All of them count, or none does.
    """
    began = time.perf_counter_ns()
    translation = compounds.split(body, idempotency_key=cover.idempotency_key)
    if len(translation.together) + len(translation.refused) != 1:
        raise Refused("a compound is tried alone")
    array, found = opened(translation, cover)
    whole = Trial(received_at=now, stored=body.strip())
    took = (time.perf_counter_ns() - began) // 1000
    whole.steps.append(Tried("split", PASSED, f"{len(found)} measurements", took))
    for raw, event in zip(events.split(array), found, strict=True):
        one = _tried(sender, events.join([raw]), [event], now=now, took=0)
        whole.measurements.append(one)
    whole.verdict = _verdict_together(whole.measurements)
    if whole.verdict == REFUSED:
        why = next(one for one in whole.measurements if one.verdict == REFUSED)
        detail = f"a measurement is refused: {why.steps[-1].detail}"
        whole.steps.append(Tried("together", REFUSED, detail, 0, why.code))
    return whole


def _verdict_together(measurements: Sequence[Trial]) -> str:
    """The first of these verdicts that any measurement got."""
    found = {one.verdict for one in measurements}
    order = (REFUSED, HELD, COUNTED, UNBILLED, DUPLICATE)
    return next(verdict for verdict in order if verdict in found)


def _tried(
    sender: KnownKey, array: bytes, found: list[Event | Refusal], *, now: datetime, took: int
) -> Trial:
    if others := others_among(found, sender.tenant_id, sender.customer_id):
        raise answer_of(others)  # not a word about anybody else
    array, found, _ = keyed(array, found, sender)
    trial = Trial(received_at=now, stored=array.strip()[1:-1].strip())
    event = found[0]
    if isinstance(event, Refusal):
        trial.steps.append(Tried("schema", REFUSED, event.detail, took, event.code))
        return trial
    if _passes_door(trial, event, sender, took):
        _drain(trial, arrivals.arrival_of(_batch(sender, array, now), 0, event))
    return trial


def _passes_door(trial: Trial, event: Event, sender: KnownKey, took: int) -> bool:
    """Schema, timestamp and metric, as the door judges them."""
    now = trial.received_at
    why = gates.check_quantity(event) or gates.check_text(event)
    if why is not None:
        trial.steps.append(Tried("schema", REFUSED, why.detail, took, why.code))
        return False
    trial.steps.append(Tried("schema", PASSED, "all fields can be read", took))
    return trial.take(
        "timestamp", lambda: gates.check_time(event, now) or (PASSED, "within 90 days")
    ) and trial.take(
        "metric",
        lambda: (
            gates.unknown_metric(event.metricName)
            if known.unknown_metrics(sender, {event.metricName})
            else (PASSED, f"{event.metricName!r} is known, or need not be")
        ),
    )


def _drain(trial: Trial, arrival: Arrival) -> None:
    """Idempotency, latency, contract and price, as the drain settles them."""
    trial.idempotency_key, trial.occurred_at = arrival.key, arrival.occurred
    if not trial.take("idempotency", lambda: _standing(arrival)):
        return
    is_repeat = trial.steps[-1].verdict == FLAGGED
    trial.take("latency", lambda: _latency(arrival))
    if arrival.event.sessionId:
        trial.take("session", lambda: _session(arrival))
    if is_repeat:
        trial.verdict = DUPLICATE
        return
    targets: list[Target | Unbilled] = []
    if trial.take("enrichment", lambda: _enriched(arrival, targets)):
        trial.take("pricing", lambda: _priced(trial, arrival, targets))


def _standing(arrival: Arrival) -> tuple[str, str] | Refusal:
    """What the ledger of keys says; FLAGGED is a repeat."""
    if arrival.event.idempotencyKey is None:
        return PASSED, "it has no key: each time it is sent it is new"
    ledger = EventKey.objects.filter(k=UUID(bytes=arrival.k))  # any tenant: the hash is of one
    body = ledger.values_list("body", flat=True).first()
    if body is None:
        return PASSED, "the key is new, as far as events are drained"
    if body == UUID(bytes=arrival.body):
        return FLAGGED, "the same event has counted under this key: a duplicate"
    return Refusal("IDEMPOTENCY_CONFLICT", "idempotencyKey was used before for another event")


def _latency(arrival: Arrival) -> tuple[str, str]:
    if arrival.occurred < arrival.batch.late_before:
        return FLAGGED, "more than 24 hours late"
    return PASSED, "not late"


def _session(arrival: Arrival) -> tuple[str, str]:
    name = arrival.event.sessionId or ""
    if killed.killed_among(arrival.batch.tenant_id, {name}):
        return FLAGGED, f"session {name!r} was killed: the answer would say so"
    return PASSED, f"session {name!r} is not killed"


def _enriched(arrival: Arrival, targets: list[Target | Unbilled]) -> tuple[str, str] | Refusal:
    """Fill `targets` with who counts it."""
    routed, dead, _ = enrichment.attach_contracts([arrival])
    if dead:
        return dead[0].why
    targets += routed[0][1]
    priced = sum(isinstance(target, Target) for target in targets)
    if not priced:
        return FLAGGED, "nobody has a price for it: it would be recorded as unbilled"
    return PASSED, f"counted by {priced} billable unit{'s' if priced > 1 else ''}"


def _priced(
    trial: Trial, arrival: Arrival, targets: list[Target | Unbilled]
) -> tuple[str, str] | Refusal:
    try:
        trial.effects = [effect_of(arrival, one) for one in targets if isinstance(one, Target)]
    except AforoError as error:
        return Refusal(error.code, error.detail)
    held = any(effect.is_held for effect in trial.effects)
    trial.verdict = HELD if held else COUNTED if trial.effects else UNBILLED
    if held:
        return FLAGGED, "its period is billed already: it would be held for a decision"
    return PASSED, "priced" if trial.effects else "nothing to price"


def sender_of(tenant: Tenant, source: str = "API", customer_id: UUID | None = None) -> KnownKey:
    """Somebody who sends with a key of this source, as the door knows them; it opens nothing."""
    return KnownKey(
        id=tenant.pk,
        tenant_id=tenant.pk,
        slug=tenant.slug,
        is_sandbox=tenant.is_sandbox,
        accepts_unknown_metrics=tenant.unknown_metric != Tenant.UnknownMetric.REJECT,
        bucket=bucket_of(tenant.pk),
        rate_limit=None,
        source=source,
        read_at=time.monotonic(),
        customer_id=customer_id,
    )


def _batch(sender: KnownKey, array: bytes, now: datetime) -> Batch:
    """The inbox row that it would be."""
    return Batch(
        0, new_id(), sender.tenant_id, None, sender.source, "", now, now, 1, {}, array,
        sender.customer_id,
    )  # fmt: skip
