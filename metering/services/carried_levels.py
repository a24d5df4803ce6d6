"""Levels that go over from one period to the next: the values of UNIQUE, and what a level costs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import msgspec

from aforo.money import EXACT, ZERO
from catalog.models import BillableUnit, Subscription
from catalog.pricing.dimensions import values_in
from metering.ingest.connection import hot_cursor
from metering.selectors.corrections import standing_values
from metering.selectors.rate_cards import unit_costs_of
from metering.services.watermarks import LockedTotal

# Of a source that was billed, taken back and corrected since.
_LEAVE = """
    DELETE FROM unique_values v
    USING unnest(%s::bigint[], %s::bigint[]) AS m (source, target)
    WHERE v.running_total_id = m.target AND v.is_carried AND NOT EXISTS (
        SELECT FROM unique_values s WHERE s.running_total_id = m.source AND s.value = v.value)
    RETURNING v.running_total_id, v.value
"""
_STAY = """
    INSERT INTO unique_values (running_total_id, value)
    SELECT * FROM unnest(%s::bigint[], %s::uuid[])
"""
# Those that came where others had gone over before.
_COPY = """
    WITH came AS (
        INSERT INTO unique_values (running_total_id, value, is_carried)
        SELECT m.target, v.value, true
        FROM unnest(%s::bigint[], %s::bigint[]) AS m (source, target)
        JOIN unique_values v ON v.running_total_id = m.source
        ORDER BY m.target, v.value
        ON CONFLICT (running_total_id, value) DO UPDATE SET is_carried = true
            WHERE NOT unique_values.is_carried
        RETURNING running_total_id, value)
    SELECT c.running_total_id, c.value FROM came c
    JOIN running_totals t ON t.id = c.running_total_id AND t.carried IS NOT NULL
"""
_COUNT = """
    SELECT running_total_id, count(*) FROM unique_values
    WHERE running_total_id = ANY(%s) GROUP BY running_total_id
"""
Values = dict[int, list[UUID]]


@dataclass(frozen=True, slots=True)
class CarriedValues:
    """By total: how many values it has, and as JSON which came or left once more."""

    counts: Mapping[int, Decimal] = field(default_factory=dict)
    moved: Mapping[int, str] = field(default_factory=dict)


def carry_values(totals: Sequence[tuple[LockedTotal, LockedTotal]]) -> CarriedValues:
    """Let each second total begin with the values of the first; both are locked.

    A value that the first one has no more leaves, unless events of the second have it too.
    """
    if not totals:
        return CarriedValues()
    pairs = ([source.id for source, _ in totals], [target.id for _, target in totals])
    with hot_cursor() as cursor:
        left = _by_total(cursor.execute(_LEAVE, pairs))
        if left:
            cursor.execute(_STAY, _columns(_own_values([one for _, one in totals], left)))
        came = _by_total(cursor.execute(_COPY, pairs))
        counts = {key: Decimal(count) for key, count in cursor.execute(_COUNT, (pairs[1],))}
    moved = {
        total_id: msgspec.json.encode(
            {"came": _told(came.get(total_id, ())), "left": _told(left.get(total_id, ()))}
        ).decode()
        for total_id in left.keys() | came.keys()
    }
    return CarriedValues({target.id: counts.get(target.id, ZERO) for _, target in totals}, moved)


def costs_of_levels(begun: Sequence[tuple[LockedTotal, Decimal]]) -> Mapping[int, Decimal]:
    """What it costs that these totals begin so many units higher: as an event at their start."""
    steps = [(total, step) for total, step in begun if step]
    if not steps:
        return {}
    tenant_id = steps[0][0].tenant_id
    cards = unit_costs_of(tenant_id)
    currencies: dict[UUID, str] = {}
    if cards:
        ids = {total.subscription_id for total, _ in steps}
        rows = Subscription.objects.for_tenant(tenant_id).filter(pk__in=ids)
        currencies = dict(rows.values_list("pk", "currency"))
    found = {}
    for total, step in steps:
        costs = cards.get((total.unit_id, currencies.get(total.subscription_id, "")))
        price = total.unit_cost
        if costs is not None and total.period_start is not None:
            price = costs.of(values_in(total.dimension), total.period_start)
        found[total.id] = EXACT.multiply(price, step)
    return found


def _own_values(totals: Sequence[LockedTotal], values: Values) -> Values:
    """Those of the values that events of the totals have, which stand."""
    units = BillableUnit.objects.filter(  # any tenant: of these totals
        pk__in={total.unit_id for total in totals}
    )
    fields = dict(units.values_list("pk", "event_field"))
    found = {}
    for total in totals:
        if total.id in values:
            among = {value.hex for value in values[total.id]}
            own = standing_values(total.id, field=fields[total.unit_id], among=among)
            found[total.id] = [UUID(value) for value in sorted(own)]
    return found


def _by_total(rows: Iterable[tuple[int, UUID]]) -> Values:
    found: defaultdict[int, list[UUID]] = defaultdict(list)
    for total_id, value in rows:
        found[total_id].append(value)
    return dict(found)


def _columns(values: Values) -> tuple[list[int], list[UUID]]:
    rows = [(total_id, value) for total_id in sorted(values) for value in values[total_id]]
    return [total_id for total_id, _ in rows], [value for _, value in rows]


def _told(values: Iterable[UUID]) -> list[str]:
    return sorted(value.hex for value in values)
