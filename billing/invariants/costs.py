"""Truths of costs: what the usage that stands costs, where that is known still.

Cards and unit costs may be changed, and what was counted before keeps its cost. So only those
totals are told anew whose events say that nothing has changed since.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from aforo.errors import Refused
from aforo.money import EXACT, ZERO, plain
from aforo.tenancy.models import Tenant
from billing.invariants.ledger import SUMMED, chosen
from billing.invariants.violations import Scope, Violation
from metering.ingest import decided
from metering.ingest.standing_costs import (
    counted_by,
    level_of,
    standing_events,
    step_of,
    unit_cost_of,
)
from metering.ingest.targets import Target
from metering.margin.unit_costs import UnitCosts
from metering.models import Correction, RunningTotal
from metering.selectors.corrections import VOID
from metering.selectors.events import events_of_span

# Without cards, and with the same unit cost since it was counted, a level costs what it is.
_BY_CATALOG = """
    SELECT 'running total ' || t.id,
           format('cost %%s; its quantity of %%s costs %%s', t.cost, t.quantity,
                  t.quantity * u.unit_cost)
    FROM running_totals t
    JOIN billable_units u ON u.id = t.unit_id
    WHERE t.id = ANY(%(ids)s) AND t.cost <> t.quantity * u.unit_cost
      AND NOT EXISTS (SELECT FROM rate_cards c WHERE c.unit_id = u.id)
      AND NOT EXISTS (
          SELECT FROM rating_adjustments a WHERE a.running_total_id = t.id AND a.cost IS NULL)
      AND NOT EXISTS (
          SELECT FROM audit_entries a
          WHERE a.tenant_id = t.tenant_id AND a.target_type = 'BillableUnit'
            AND a.target_id = u.id::text AND a.action = 'BILLABLE_UNIT_UPDATED'
            AND a.changes ? 'unit_cost')
    ORDER BY t.id
"""


def costs_off_their_usage(scope: Scope) -> Iterator[Violation]:
    """By the catalog all totals; by cards those of whose events some were taken back."""
    for ids in chosen(scope, SUMMED, without_archived=True):
        yield from scope.violations(_BY_CATALOG, ids=ids)
        for total, target in _by_card(ids):
            cost = _standing_cost(target, total)
            if cost not in (None, total.cost):
                said = f"cost {plain(total.cost)}; the events that stand cost {plain(cost)}"
                yield Violation(f"running total {total.pk}", said)


def _by_card(ids: Sequence[int]) -> Iterator[tuple[RunningTotal, Target]]:
    corrected = Correction.objects.filter(running_total_id__in=ids)  # any tenant: chosen by id
    totals = RunningTotal.objects.filter(  # any tenant: likewise
        pk__in=corrected.values("running_total_id"), carried=None
    ).order_by("tenant_id", "id")
    tenants = Tenant.objects.in_bulk({total.tenant_id for total in totals})
    for total in totals:
        try:
            target = decided.targets_of(tenants[total.tenant_id], [total.pk])[total.pk]
        except Refused:
            continue  # its price is another truth
        if target.costs is not None:
            yield total, target


def _standing_cost(target: Target, total: RunningTotal) -> Decimal | None:
    """What the events that stand cost, one by one; None where cards have changed since."""
    if target.costs is None or not _still_holds(target, target.costs, total):
        return None
    level, cost = level_of(target, total), ZERO
    for event in standing_events(total.pk, total.position):
        step = step_of(level, counted_by(target, event))
        cost = EXACT.add(cost, EXACT.multiply(step, unit_cost_of(target.costs, event)))
    return cost


def _still_holds(target: Target, costs: UnitCosts, total: RunningTotal) -> bool:
    """Whether the cards say of each event what they said, as far as nothing was taken back."""
    level = level_of(target, total)
    for event in events_of_span(total.pk, 1, total.position):
        if event.source == VOID:
            return True
        step = step_of(level, counted_by(target, event))
        if event.cost != EXACT.multiply(step, unit_cost_of(costs, event)):
            return False
    return True
