"""What foreign events leave to the meter, and ours to the unit: which field is the quantity."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit, Subscription
from catalog.models.billable_units import Aggregation

_OF_NO_QUANTITY = (Aggregation.COUNT, Aggregation.UNIQUE)
MAX_TENANTS = 10_000

# By tenant, the catalog's version and what it says; read once per version and process.
_known: dict[UUID, tuple[int, Mapping[str, frozenset[str]]]] = {}


def value_fields(tenant_id: UUID) -> Mapping[str, frozenset[str]]:
    """Per metric of the units that use a quantity: the event fields that those units name."""
    version = Tenant.objects.values_list("catalog_version", flat=True).get(pk=tenant_id)
    known = _known.get(tenant_id)
    if known is None or known[0] != version:
        if len(_known) >= MAX_TENANTS:
            _known.clear()
        known = _known[tenant_id] = (version, _read(tenant_id))
    return known[1]


def _read(tenant_id: UUID) -> Mapping[str, frozenset[str]]:
    units = BillableUnit.objects.for_tenant(tenant_id).filter(archived_at=None)
    fields: defaultdict[str, set[str]] = defaultdict(set)
    for unit in units.exclude(aggregation__in=_OF_NO_QUANTITY):
        fields[unit.metric].update([unit.event_field] if unit.event_field else [])
    return {metric: frozenset(names) for metric, names in fields.items()}


def subscribers(tenant_id: UUID, ids: Collection[str]) -> Mapping[str, str]:
    """The customers' external ids by the ids of their subscriptions."""
    found = Subscription.objects.for_tenant(tenant_id).filter(pk__in=[UUID(one) for one in ids])
    rows = found.values_list("pk", "customer__external_id")
    return {str(pk): external_id for pk, external_id in rows}
