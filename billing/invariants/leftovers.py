"""Truths of included units: each is free once, in its own period or in a later one."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet

from aforo.money import EXACT, ZERO, plain
from billing.invariants.violations import Scope, Violation
from billing.models import BillRunEventIndex, Invoice, RolloverGrant
from catalog.pricing import parse_terms
from catalog.selectors.prices import PeriodPrice, PriceKey, prices_of_totals, with_rollover
from metering.models import RunningTotal

BATCH = 500  # grants looked at together; an hourly check looks at no more

Owned = tuple[UUID, UUID, str]  # period, unit, dimension

_OVERUSED = """
    SELECT 'grant ' || g.id,
           format('grants %%s units; invoices that stand have used %%s', g.units, sum(u.units))
    FROM rollover_grants g
    JOIN rollover_uses u ON u.grant_id = g.id
    JOIN invoices i ON i.id = u.invoice_id AND i.status <> 'VOID'
    WHERE %(tenant)s::uuid IS NULL OR g.tenant_id = %(tenant)s
    GROUP BY g.id HAVING sum(u.units) > g.units
"""


_NOT_RECEIVED = """
    WITH gone AS (
        SELECT t.subscription_id, t.period_id, t.unit_id, t.dimension, sum(t.passed_on) AS units
        FROM running_totals t
        WHERE t.tenant_id = %(tenant)s AND t.subscription_id = ANY(%(ids)s)
          AND t.billed_position IS NOT NULL
        GROUP BY t.subscription_id, t.period_id, t.unit_id, t.dimension
    )
    SELECT 'period ' || p.id,
           format('%%s units of %%s went on, %%s were received', gone.units, u.name, came.units)
    FROM gone
    JOIN subscription_periods p ON p.id = gone.period_id
    JOIN billable_units u ON u.id = gone.unit_id
    CROSS JOIN LATERAL (
        SELECT n.id FROM subscription_periods n
        WHERE n.subscription_id = p.subscription_id AND n.kind = 'REGULAR'
          AND n.start_at >= p.end_at
        ORDER BY n.start_at LIMIT 1
    ) AS n
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.rollover + t.passed_on), 0) AS units FROM running_totals t
        WHERE t.period_id = n.id AND t.unit_id = gone.unit_id AND t.dimension = gone.dimension
    ) AS came
    WHERE gone.units <> came.units
"""


def units_given_twice(scope: Scope) -> Iterator[Violation]:
    """Units granted + units used free <= allowance + units received, of each billed period.

    The allowance, with what was received, is as the period's invoice says it; what is free by now
    is told anew from the totals, late usage included. Also of periods that only hand on what they
    were granted.
    """
    yield from scope.violations(_OVERUSED)
    for tenant_id, grants in _batches(scope):
        yield from _overspent(tenant_id, grants)


def units_that_nobody_received(scope: Scope) -> Iterator[Violation]:
    """What is not free for late usage any more is what the next period began with, to the unit."""
    for tenant_id, grants in _batches(scope):
        of_tenant = Scope(tenant_id, scope.full)
        yield from of_tenant.violations(
            _NOT_RECEIVED, ids=list({grant.subscription_id for grant in grants})
        )


def _batches(scope: Scope) -> Iterator[tuple[UUID, Sequence[RolloverGrant]]]:
    tenants: defaultdict[UUID, list[RolloverGrant]] = defaultdict(list)
    for grant in _chosen(scope):
        tenants[grant.tenant_id].append(grant)
    for tenant_id, grants in tenants.items():
        for first in range(0, len(grants), BATCH):
            yield tenant_id, grants[first : first + BATCH]


def _chosen(scope: Scope) -> QuerySet[RolloverGrant]:
    grants: QuerySet[RolloverGrant] = RolloverGrant.objects.all()  # any tenant: the scope says
    if scope.tenant_id:
        grants = grants.filter(tenant_id=scope.tenant_id)
    return grants.order_by("subscription_id", "id") if scope.full else grants.order_by("?")[:BATCH]


def _overspent(tenant_id: UUID, grants: Sequence[RolloverGrant]) -> Iterator[Violation]:
    granted = {(one.period_id, one.unit_id, one.dimension): one for one in grants}
    owned = _owned(tenant_id, grants)
    totals = [total for found in owned.values() for total in found]
    allowances = _on_paper(tenant_id, [total.id for total in totals])
    prices = prices_of_totals(tenant_id, {_key(total) for total in totals})
    for place, found in owned.items():
        billed = [one for one in found if one.id in allowances]  # others are to be billed anew
        allowance = _sum(allowances[total.id] for total in billed)
        free = _sum(_free(total, prices[_key(total)]) for total in billed)
        grant = granted.get(place)
        went_on = max(grant.units if grant else ZERO, _sum(one.passed_on for one in billed))
        if billed and EXACT.add(free, went_on) > allowance:
            said = f"{plain(went_on)} units granted, {plain(free)} used free"
            yield Violation(_subject(place, grant), f"{said}, of {plain(allowance)}")


def _subject(place: Owned, grant: RolloverGrant | None) -> str:
    return f"grant {grant.pk}" if grant else f"period {place[0]}"


def _owned(
    tenant_id: UUID, grants: Sequence[RolloverGrant]
) -> Mapping[Owned, Sequence[RunningTotal]]:
    """The totals of all periods in which units of these grants, or their own, may have gone on."""
    kinds = {(one.subscription_id, one.unit_id, one.dimension) for one in grants}
    totals = RunningTotal.objects.filter(  # any tenant: filtered by id
        Q(period_id__in={one.period_id for one in grants}) | ~Q(passed_on=ZERO),
        tenant_id=tenant_id,
        subscription_id__in={one.subscription_id for one in grants},
    )
    owned: defaultdict[Owned, list[RunningTotal]] = defaultdict(list)
    for total in totals.order_by("id"):
        if (total.subscription_id, total.unit_id, total.dimension) in kinds:
            owned[total.period_id, total.unit_id, total.dimension].append(total)
    return owned


def _on_paper(tenant_id: UUID, total_ids: Collection[int]) -> Mapping[int, Decimal]:
    """The allowance of each total, by the line of its own period's invoice that stands."""
    spans = BillRunEventIndex.objects.for_tenant(tenant_id).filter(
        running_total_id__in=total_ids,
        line__invoice__kind=Invoice.Kind.PERIOD,
        line__period_start_at=None,  # others are of late usage, which has a smaller allowance
    )
    standing = spans.exclude(line__invoice__status=Invoice.Status.VOID)
    rows = standing.values_list("running_total_id", "line__terms")
    return {total_id: parse_terms(terms).included_free for total_id, terms in rows}


def _free(total: RunningTotal, price: PeriodPrice | None) -> Decimal:
    """What is free of all that was used by now."""
    if price is None:
        return ZERO
    terms = with_rollover(price.terms.of_dimension(total.dimension), total.rollover)
    return max(ZERO, min(terms.measured(total.quantity), terms.included_free))


def _key(total: RunningTotal) -> PriceKey:
    return total.period_id, total.plan_version_id, total.unit_id


def _sum(units: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for one in units:
        total = EXACT.add(total, one)
    return total
