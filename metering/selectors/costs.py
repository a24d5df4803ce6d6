"""What was reported as costs, newest first."""

from collections.abc import Sequence
from uuid import UUID

from aforo.tenancy.models import Tenant, TenantQuerySet
from metering.models import CostEvent

_PART_BITS = 48  # an id is told as three whole numbers, as cursors hold them
_PART = (1 << _PART_BITS) - 1


def cost_events(*, tenant: Tenant) -> TenantQuerySet:
    """The cost events of a tenant, newest first: ids rise with time."""
    return CostEvent.objects.for_tenant(tenant).order_by("-id")


def place_of_id(row_id: UUID) -> tuple[int, int, int]:
    """Where a page ended, for its cursor."""
    number = row_id.int
    return number >> 2 * _PART_BITS, number >> _PART_BITS & _PART, number & _PART


def id_at(place: Sequence[int]) -> UUID:
    """The other way round; raises ValueError for what is no id."""
    high, middle, low = place
    return UUID(int=(high << 2 * _PART_BITS) + (middle << _PART_BITS) + low)
