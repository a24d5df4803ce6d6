"""Held events decided: accepted ones are counted and billed with the next invoice, others waived.

An event that several units count is held once per unit. It is decided as a whole: whoever names
one of its rows decides all of them, so that an event is never half counted.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from aforo.errors import Conflict, FieldError, Refused
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from metering.ingest import decided, events
from metering.ingest.arrivals import Arrival
from metering.ingest.events import Refusal
from metering.ingest.targets import Target
from metering.models import HeldEvent, UsageEvent
from metering.selectors.held import waiting_events

AT_ONCE = 1_000  # rows per transaction: a second in which their totals are locked

Status = HeldEvent.Status
_ACTIONS = {Status.ACCEPTED: "HELD_EVENT_ACCEPTED", Status.WAIVED: "HELD_EVENT_WAIVED"}


def accept_event(*, held: HeldEvent, actor: Actor, reason: str, now: datetime) -> HeldEvent:
    """Count a held event at the end of its totals; the next invoice of its subscription bills it.

    Again changes nothing. Raises Conflict when it was waived, Refused without a reason.
    """
    return _decide_one(held, Status.ACCEPTED, actor=actor, reason=reason, now=now)


def waive_event(*, held: HeldEvent, actor: Actor, reason: str, now: datetime) -> HeldEvent:
    """Let a held event go unbilled for good; it keeps its key.

    Again changes nothing. Raises Conflict when it was accepted, Refused without a reason.
    """
    return _decide_one(held, Status.WAIVED, actor=actor, reason=reason, now=now)


def decide_events(
    *,
    tenant: Tenant,
    chosen: QuerySet[HeldEvent],
    status: HeldEvent.Status,
    actor: Actor,
    reason: str,
    now: datetime,
) -> int:
    """Accept or waive what waits among `chosen` rows of the tenant; the number of events decided.

    In transactions of their own, oldest first: stopped in between, a second call does the rest.
    """
    _require(reason)
    waiting = chosen.filter(tenant=tenant, status=Status.WAITING).order_by("pk")
    count = 0
    last: UUID | None = None
    while ids := list(_after(waiting, last).values_list("pk", flat=True)[:AT_ONCE]):
        count += _decide(tenant, ids, status, actor=actor, reason=reason, now=now)
        last = ids[-1]
    return count


@transaction.atomic
def withdraw_event(*, event: UsageEvent, actor: Actor, reason: str, now: datetime) -> None:
    """Let go of what waits of an event that other units have counted, for it is taken back.

    Whoever accepts it at this moment is waited for: the rows that they make are there by then.
    """
    tenant = Tenant.objects.get(pk=event.tenant_id)
    own = waiting_events(tenant=tenant).filter(
        batch_id=event.batch_id,
        batch_index=event.batch_index,
        idempotency_key=event.idempotency_key,
    )
    ids = list(own.values_list("pk", flat=True))
    if ids:
        _decide(tenant, ids, Status.WAIVED, actor=actor, reason=reason, now=now)


def _after(rows: QuerySet[HeldEvent], last: UUID | None) -> QuerySet[HeldEvent]:
    return rows if last is None else rows.filter(pk__gt=last)


def _decide_one(
    held: HeldEvent, status: HeldEvent.Status, *, actor: Actor, reason: str, now: datetime
) -> HeldEvent:
    _require(reason)
    _decide(held.tenant, [held.pk], status, actor=actor, reason=reason, now=now)
    held.refresh_from_db()
    if held.status != status:
        raise Conflict(
            f"event {held.idempotency_key!r} was {held.status.lower()} before by {held.decided_by}",
            code="HELD_EVENT_DECIDED",
        )
    return held


def _require(reason: str) -> None:
    if not reason.strip():
        message = "a decision needs a reason"
        raise Refused(message, errors=(FieldError("reason", "REQUIRED", message),))


@transaction.atomic
def _decide(
    tenant: Tenant,
    ids: Collection[UUID],
    status: HeldEvent.Status,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
) -> int:
    """Decide the events that these rows are of, as far as they still wait; how many they are.

    The row locks make a twin wait; by then nothing is left for it.
    """
    rows = _locked(tenant, ids)
    if not rows:
        return 0
    if status == Status.ACCEPTED:
        decided.append(_groups(tenant, rows))
    HeldEvent.objects.for_tenant(tenant).filter(pk__in=[row.pk for row in rows]).update(
        status=status, decided_at=now, decided_by=actor.name[:200], reason=reason
    )
    found = {(row.batch_id, row.batch_index): row for row in rows}
    for row in found.values():
        audit.record(
            tenant=tenant,
            actor=actor,
            action=_ACTIONS[status],
            target=row,
            now=now,
            changes=audit.differences({"status": Status.WAITING.value}, {"status": status.value}),
            reason=reason,
        )
    return len(found)


def _locked(tenant: Tenant, ids: Collection[UUID]) -> Sequence[HeldEvent]:
    """All waiting rows of the events that these rows are of, in the order they arrived."""
    same_event = HeldEvent.objects.for_tenant(tenant).filter(
        pk__in=ids, batch_id=OuterRef("batch_id"), batch_index=OuterRef("batch_index")
    )
    rows = waiting_events(tenant=tenant).filter(Exists(same_event)).order_by("pk")
    return list(rows.select_for_update())


def _groups(tenant: Tenant, rows: Sequence[HeldEvent]) -> dict[Target, list[Arrival]]:
    targets = decided.targets_of(tenant, {row.running_total_id for row in rows})
    groups: defaultdict[Target, list[Arrival]] = defaultdict(list)
    for row in rows:
        groups[targets[row.running_total_id]].append(_arrival(row))
    return groups


def _arrival(held: HeldEvent) -> Arrival:
    """The event as the drain saw it: same batch, same time of arrival, same key."""
    event = events.decode_one(bytes(held.event))
    if isinstance(event, Refusal):
        raise Refused(f"event {held.idempotency_key!r} cannot be read: {event.detail}")
    return decided.arrival(
        event,
        tenant_id=held.tenant_id,
        source=held.source,
        batch_id=held.batch_id,
        batch_index=held.batch_index,
        received_at=held.received_at,
    )
