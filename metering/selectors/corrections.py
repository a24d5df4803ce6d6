"""What was taken back, as replays and lists of corrections need to know it."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal

import msgspec
from django.db.models import Exists, Max, OuterRef, QuerySet

from aforo.money import ZERO
from aforo.tenancy.models import Tenant
from metering.models import Correction, UsageEvent
from metering.selectors.events import events_of_span

VOID = Correction.Kind.VOID.value
"""The source of a row that takes an event back; senders have other sources."""


class _Voided(msgspec.Struct):
    position: int | None = None


class _VoidMetadata(msgspec.Struct):
    voids: _Voided


_decoder = msgspec.json.Decoder(_VoidMetadata)


def corrections(*, tenant: Tenant) -> QuerySet[Correction]:
    """The tenant's corrections, newest first: one row per unit that had counted the event."""
    rows: QuerySet[Correction] = Correction.objects.for_tenant(tenant)
    return rows.order_by("-id")  # ids rise with time


def taken_back(running_total_ids: Collection[int]) -> Mapping[int, Mapping[int, int]]:
    """By total, the positions whose events do not stand, each with where it was taken back."""
    rows = Correction.objects.filter(running_total_id__in=running_total_ids)  # any tenant: by id
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for total_id, position, void_position in rows.values_list(
        "running_total_id", "position", "void_position"
    ):
        found[total_id][position] = void_position
    return found


def position_voided(metadata: str | None) -> int | None:
    """The position that a row says it takes back; None when it says no such thing."""
    try:
        return _decoder.decode(metadata or "").voids.position
    except msgspec.DecodeError:
        return None


def rows_of_event(event: UsageEvent) -> list[UsageEvent]:
    """All rows of the event that this one is a row of, one per unit that counts it."""
    rows = UsageEvent.objects.filter(  # any tenant: scoped by its bare id
        tenant_id=event.tenant_id,
        occurred_at=event.occurred_at,
        batch_id=event.batch_id,
        batch_index=event.batch_index,
        idempotency_key=event.idempotency_key,
    )
    return list(rows.exclude(source=VOID).order_by("pk"))


def largest_standing(running_total_id: int, *, but: int) -> Decimal:
    """The largest quantity of a total's events that stand, without the one at position `but`."""
    largest: Decimal | None = _standing(running_total_id, but).aggregate(top=Max("quantity"))["top"]
    return largest or ZERO


def last_standing(running_total_id: int, *, but: int) -> list[UsageEvent]:
    """The events at a total's last instant, of those that stand, without that at position `but`."""
    standing = _standing(running_total_id, but)
    last = standing.aggregate(at=Max("occurred_at"))["at"]
    return list(standing.filter(occurred_at=last)) if last else []


def has_standing_value(running_total_id: int, *, but: int, field: str, value: str) -> bool:
    """Whether another event that stands has the value (a hash) that UNIQUE counts."""
    return any(one == value for one in _values(running_total_id, field, but=but))


def standing_values(running_total_id: int, *, field: str, among: Collection[str]) -> set[str]:
    """Those of some values (hashes) that events of a total have which stand."""
    return set(among).intersection(_values(running_total_id, field, but=0))


def _values(running_total_id: int, field: str, *, but: int) -> Iterator[str]:
    rows = _standing(running_total_id, but).values_list("position", flat=True)
    standing = {position for position in rows if position is not None}
    for event in events_of_span(running_total_id, 1, max(standing, default=0)):
        if event.position in standing:
            yield event.value_of(field)


def _standing(running_total_id: int, but: int) -> QuerySet[UsageEvent]:
    voids = Correction.objects.filter(  # any tenant: a total belongs to one
        running_total_id=running_total_id, position=OuterRef("position")
    )
    events: QuerySet[UsageEvent] = UsageEvent.objects.filter(  # any tenant: likewise
        ~Exists(voids), running_total_id=running_total_id
    )
    return events.exclude(position=but).exclude(source=VOID)
