"""What goes on today: figures for people, each from an index, none from the events themselves."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, Sum

from metering.models import DeadLetter, HeldEvent, InboxBatch, Receipt


@dataclass(frozen=True, slots=True)
class Today:
    """Events as they came; `dead_letters`, `held` and `waiting` are all that are open now."""

    events: int
    duplicates: int
    dead_letters: int
    held: int
    waiting: int


def today_of(tenant_ids: Collection[UUID], *, since: datetime) -> Today:
    """The figures of these tenants; `since` is on everybody's clock."""
    receipts = Receipt.objects.filter(  # any tenant: those named
        tenant_id__in=tenant_ids, drained_at__gte=since
    )
    came = ~Q(source="REPLAY")  # a replay brings nothing that had not come before
    drained = receipts.aggregate(
        events=Sum("event_count", filter=came), duplicates=Sum("duplicates")
    )
    letters = DeadLetter.objects.filter(  # any tenant: those named
        tenant_id__in=tenant_ids, status=DeadLetter.Status.OPEN
    )
    held = HeldEvent.objects.filter(  # any tenant: those named
        tenant_id__in=tenant_ids, status=HeldEvent.Status.WAITING
    )
    inbox = InboxBatch.objects.filter(tenant_id__in=tenant_ids)  # any tenant: those named
    return Today(
        events=drained["events"] or 0,
        duplicates=drained["duplicates"] or 0,
        dead_letters=letters.count(),
        held=held.count(),
        waiting=inbox.aggregate(events=Sum("event_count"))["events"] or 0,
    )
