"""Corrections: an event is taken back, or counted anew with other values. Nothing is changed.

What takes an event back stands at the end of the same total, below zero, in the same chain. What
is counted instead is an event of its own. Where a total is billed, the next invoice adjusts.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from aforo.errors import Conflict, FieldError, NotFound, Refused
from aforo.ids import new_id
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from metering.ingest import decided, dedupe, enrichment, gates, rating, taking_back, totals, write
from metering.ingest.arrivals import Arrival
from metering.ingest.rating import Locked
from metering.ingest.targets import Target, Unbilled
from metering.models import Correction, UsageEvent
from metering.selectors.corrections import VOID, rows_of_event
from metering.services.held import withdraw_event

AMEND = Correction.Kind.AMEND.value
"""The source of an event that is counted instead of another."""
Changes = Mapping[str, Any]
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a correction did: one row of it per unit that had counted the event."""

    corrections: tuple[Correction, ...]
    replacements: tuple[UsageEvent, ...]


def void_event(
    *, tenant: Tenant, event_id: int, actor: Actor, reason: str, now: datetime
) -> Corrected:
    """Take an event back, for all units that count it, once.

    Raises NotFound, Refused without a reason, Conflict when it was taken back before.
    """
    return _correct(tenant, event_id, None, actor=actor, reason=reason, now=now)


def amend_event(
    *, tenant: Tenant, event_id: int, changes: Changes, actor: Actor, reason: str, now: datetime
) -> Corrected:
    """Take an event back and count it anew, with `changes` (fields of the wire), wherever it falls.

    Age is no obstacle, nor is a billed period: whoever amends has decided. Raises as `void_event`,
    and Refused with the code of an event that cannot be counted.
    """
    if not changes:
        raise Refused("an amendment changes at least one field", code="NOTHING_CHANGED")
    return _correct(tenant, event_id, changes, actor=actor, reason=reason, now=now)


@transaction.atomic
def _correct(
    tenant: Tenant,
    event_id: int,
    changes: Changes | None,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
) -> Corrected:
    """One transaction; locks as the drain does: the ledger of keys, then totals by id."""
    if not reason.strip():
        message = "a correction needs a reason"
        raise Refused(message, errors=(FieldError("reason", "REQUIRED", message),))
    event = _event(tenant, event_id)
    dedupe.hold(event.tenant_id, event.idempotency_key)
    withdraw_event(event=event, actor=actor, reason=reason, now=now)
    rows = rows_of_event(event)  # read after it: who was about to accept the rest has done so
    replacement = None if changes is None else _replacement(event, changes, now=now)
    locked = _locked(rows, replacement)
    _require_standing(rows)  # under the locks: a twin has waited, and sees what we did
    lines, places = _take_back(tenant, rows, locked, now=now)
    rating.see_values(locked)
    with write.usage_events() as take:
        take(lines)
        rating.price(locked, take)
    totals.write(list(locked.totals.values()))
    corrections = _corrections(rows, places, replacement, actor=actor, reason=reason, now=now)
    _audit(tenant, rows[0], replacement, actor=actor, reason=reason, now=now)
    return Corrected(tuple(corrections), () if replacement is None else _counted(replacement))


def _event(tenant: Tenant, event_id: int) -> UsageEvent:
    own = UsageEvent.objects.filter(tenant_id=tenant.pk)  # any tenant: scoped by its bare id
    event = own.filter(pk=event_id).first()
    if event is None:
        raise NotFound(f"there is no usage event {event_id} here")
    if event.source == VOID:
        raise Refused("what takes an event back is final", code="CORRECTION_IS_FINAL")
    return event


def _require_standing(rows: Sequence[UsageEvent]) -> None:
    ids = [row.pk for row in rows]
    before = Correction.objects.filter(event_id__in=ids).first()  # any tenant: of rows at hand
    if before is not None:
        raise Conflict(
            f"event {before.idempotency_key!r} was taken back before by {before.actor_name}",
            code="EVENT_TAKEN_BACK",
        )


def _replacement(event: UsageEvent, changes: Changes, *, now: datetime) -> Arrival:
    """The event that is counted instead, if the gates let it pass and its key is new."""
    own = {"idempotencyKey": f"amend:{event.pk}"} | dict(changes)
    if "metadata" in own:
        own["metadata"] = msgspec.Raw(_encode(own["metadata"]))
    new = msgspec.structs.replace(taking_back.event_of(event, quantity=event.quantity), **own)
    refusal = gates.check_event(new, received_at=now)
    if refusal is not None and refusal.code != "TIMESTAMP_TOO_OLD":
        raise Refused(refusal.detail, code=refusal.code)
    arrival = decided.arrival(
        new,
        tenant_id=event.tenant_id,
        source=AMEND,
        batch_id=event.batch_id,
        batch_index=event.batch_index,
        received_at=now,
    )
    if not dedupe.settle([arrival]).fresh:
        raise Conflict(
            f"idempotencyKey {arrival.key!r} was used before", code="REPLACEMENT_KEY_TAKEN"
        )
    return arrival


def _locked(rows: Sequence[UsageEvent], replacement: Arrival | None) -> Locked:
    """All totals that change, locked together, with what counts the replacement, if any does."""
    groups: defaultdict[Target, list[Arrival]] = defaultdict(list)
    unbilled: list[tuple[Arrival, Unbilled]] = []
    for arrival, targets in _routed(replacement):
        for target in targets:
            if isinstance(target, Unbilled):
                unbilled.append((arrival, target))
            else:
                groups[target].append(arrival)
    more_ids = [row.running_total_id for row in rows if row.running_total_id is not None]
    locked = rating.lock_decided(dict(groups), more_ids=more_ids)
    locked.unbilled = unbilled
    return locked


def _routed(replacement: Arrival | None) -> Sequence[enrichment.Routed]:
    if replacement is None:
        return ()
    routed, dead, _ = enrichment.attach_contracts([replacement])
    for letter in dead:
        raise Refused(letter.why.detail, code=letter.why.code)
    return routed


def _take_back(
    tenant: Tenant, rows: Sequence[UsageEvent], locked: Locked, *, now: datetime
) -> tuple[list[str], dict[int, int]]:
    """The lines that take these rows back, and their positions by row; totals stand after them."""
    ids = {row.running_total_id for row in rows if row.running_total_id is not None}
    targets = decided.targets_of(tenant, ids)
    taking_back.require_all_events(targets.values())
    lines: list[str] = []
    places: dict[int, int] = {}
    for row in rows:
        arrival = taking_back.voiding(row, now=now)
        if row.running_total_id is None:
            counts = (row.tenant_id, row.customer_id, row.subscription_id, row.unit_id)
            locked.unbilled.insert(0, (arrival, Unbilled(*counts)))
        else:
            target, total = targets[row.running_total_id], locked.totals[row.running_total_id]
            lines.append(taking_back.take_back(target, total, row, arrival))
            places[row.pk] = total.position
    return lines, places


def _corrections(
    rows: Sequence[UsageEvent],
    places: Mapping[int, int],
    replacement: Arrival | None,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
) -> list[Correction]:
    action_id = new_id()
    return Correction.objects.bulk_create(
        Correction(
            tenant_id=row.tenant_id,
            kind=Correction.Kind.VOID if replacement is None else Correction.Kind.AMEND,
            action_id=action_id,
            event_id=row.pk,
            running_total_id=row.running_total_id,
            position=row.position,
            void_position=places.get(row.pk),
            idempotency_key=row.idempotency_key,
            replacement_key="" if replacement is None else replacement.key,
            reason=reason,
            actor_name=actor.name[:200],
            created_at=now,
        )
        for row in rows
    )


def _audit(
    tenant: Tenant,
    row: UsageEvent,
    replacement: Arrival | None,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
) -> None:
    audit.record(
        tenant=tenant,
        actor=actor,
        action="USAGE_EVENT_VOIDED" if replacement is None else "USAGE_EVENT_AMENDED",
        target=row,
        now=now,
        changes=_differences(row, replacement),
        reason=reason,
    )


def _differences(row: UsageEvent, replacement: Arrival | None) -> audit.Changes:
    if replacement is None:
        return audit.differences({"quantity": row.quantity}, {"quantity": None})
    event = replacement.event
    before = {
        "metric": row.metric,
        "quantity": row.quantity,
        "occurred_at": row.occurred_at,
        "metadata": row.metadata,
    }
    after = {
        "metric": event.metricName,
        "quantity": event.quantity,
        "occurred_at": replacement.occurred,
        "metadata": replacement.metadata,
    }
    return audit.differences(before, after)


def _counted(replacement: Arrival) -> tuple[UsageEvent, ...]:
    """The rows that the replacement has become."""
    rows = UsageEvent.objects.filter(  # any tenant: scoped by its bare id
        tenant_id=replacement.batch.tenant_id,
        occurred_at=replacement.occurred,
        batch_id=replacement.batch.batch_id,
        idempotency_key=replacement.key,
        source=AMEND,
    )
    return tuple(rows.order_by("pk"))
