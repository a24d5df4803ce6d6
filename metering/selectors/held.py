"""Late usage as people review it: what was counted late, and what waits for a decision."""

from django.db.models import QuerySet

from aforo.tenancy.models import Tenant
from metering.models import HeldEvent, UsageEvent
from metering.selectors.corrections import VOID


def held_events(*, tenant: Tenant) -> QuerySet[HeldEvent]:
    """Events of billed periods, one row per unit that would count them; newest first."""
    rows: QuerySet[HeldEvent] = HeldEvent.objects.for_tenant(tenant)
    return rows.order_by("-id")  # ids rise with time


def waiting_events(*, tenant: Tenant) -> QuerySet[HeldEvent]:
    """Those that nobody has decided about."""
    return held_events(tenant=tenant).filter(status=HeldEvent.Status.WAITING)


def late_events(*, tenant: Tenant, before: int | None, size: int) -> list[UsageEvent]:
    """The `size` events that were counted last, before one id, among those flagged as late.

    By an index that holds nothing else. What takes an event back is no usage, late as it comes.
    """
    rows = UsageEvent.objects.filter(tenant_id=tenant.pk, late=True)  # any tenant: its bare id
    rows = rows.exclude(source=VOID)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-id")[:size])
