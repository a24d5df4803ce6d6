"""Units drafted for metrics that nobody had defined: they count, and have no price yet."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.errors import Conflict, Refused
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import BillableUnit
from catalog.models.billable_units import Aggregation
from catalog.services.billable_units import create_unit
from metering.models import UnknownMetric

UNITS_AT_A_TIME = 50  # each writes an audit entry; a quarter of a second
DRAFTER = Actor.system("drafted for an unknown metric")
_DESCRIPTION = "Drafted because events named this metric. It has no price yet."


def draft_units(*, now: datetime) -> int:
    """Draft a COUNT unit for every name that was noted, once; how many names are dealt with.

    May run twice, at once: the tenant's row is locked, and a name that has a unit gets no other.
    How many names are noted has a limit, so the number of units has.
    """
    waiting = UnknownMetric.objects.filter(  # any tenant: all of them
        drafted_at__isnull=True, tenant__unknown_metric=Tenant.UnknownMetric.CREATE
    )
    dealt_with = 0
    for tenant_id in waiting.order_by("tenant").values_list("tenant", flat=True).distinct():
        while page := _draft_page(tenant_id, now=now):
            dealt_with += page
    return dealt_with


@transaction.atomic
def _draft_page(tenant_id: UUID, *, now: datetime) -> int:
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    waiting = UnknownMetric.objects.for_tenant(tenant).filter(drafted_at__isnull=True)
    page = list(waiting.order_by("first_seen_at", "pk")[:UNITS_AT_A_TIME])
    known = _units_by_name(tenant, [metric.name for metric in page])
    for metric in page:
        metric.drafted_at = now
        metric.unit_id = known.get(metric.name) or _drafted(tenant, metric.name, now)
    UnknownMetric.objects.bulk_update(page, ["drafted_at", "unit_id"])  # any tenant: its own
    return len(page)


def _units_by_name(tenant: Tenant, names: Sequence[str]) -> dict[str, UUID]:
    """Units that have these names already, archived ones too."""
    units = BillableUnit.objects.for_tenant(tenant).filter(name__in=names)
    return dict(units.values_list("name", "pk"))


def _drafted(tenant: Tenant, name: str, now: datetime) -> UUID | None:
    """A new unit; None when the name is none that a unit may have."""
    try:
        with transaction.atomic():
            unit = create_unit(
                tenant=tenant,
                actor=DRAFTER,
                now=clock.at(tenant, now),
                name=name,
                aggregation=Aggregation.COUNT,
                description=_DESCRIPTION,
            )
    except (Refused, Conflict):
        return None
    return unit.pk
