"""Truths of included units: each is free once, in its own period or in a later one."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

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


def units_given_twice(scope: Scope) -> Iterator[Violation]:
    """Units granted + units used free <= allowance + units received, of each billed period.

    The allowance, with what was received, is as the period's invoice says it; what is free by now
    is told anew from the totals, late usage included.
    """
    yield from scope.violations(_OVERUSED)
    tenants: defaultdict[UUID, list[RolloverGrant]] = defaultdict(list)
    for grant in _chosen(scope):
        tenants[grant.tenant_id].append(grant)
    for tenant_id, grants in tenants.items():
        for first in range(0, len(grants), BATCH):
            yield from _overspent(tenant_id, grants[first : first + BATCH])


def _chosen(scope: Scope) -> QuerySet[RolloverGrant]:
    grants: QuerySet[RolloverGrant] = RolloverGrant.objects.all()  # any tenant: the scope says
    if scope.tenant_id:
        grants = grants.filter(tenant_id=scope.tenant_id)
    return grants.order_by("id") if scope.full else grants.order_by("?")[:BATCH]


def _overspent(tenant_id: UUID, grants: Sequence[RolloverGrant]) -> Iterator[Violation]:
    totals = RunningTotal.objects.filter(  # any tenant: filtered by id
        tenant_id=tenant_id, period_id__in={grant.period_id for grant in grants}
    )
    owned: defaultdict[Owned, list[RunningTotal]] = defaultdict(list)
    for total in totals:
        owned[total.period_id, total.unit_id, total.dimension].append(total)
    allowances = _on_paper(tenant_id, [total.id for total in totals])
    prices = prices_of_totals(tenant_id, {_key(total) for total in totals})
    for grant in grants:
        billed = [
            total
            for total in owned[grant.period_id, grant.unit_id, grant.dimension]
            if total.id in allowances  # others are void, and to be billed anew
        ]
        allowance = _sum(allowances[total.id] for total in billed)
        free = _sum(_free(total, prices[_key(total)]) for total in billed)
        granted = max(grant.units, _sum(total.passed_on for total in billed))
        if billed and EXACT.add(free, granted) > allowance:
            said = f"{plain(granted)} units granted, {plain(free)} used free"
            yield Violation(f"grant {grant.pk}", f"{said}, of {plain(allowance)}")


def _on_paper(tenant_id: UUID, total_ids: Collection[int]) -> Mapping[int, Decimal]:
    """The allowance of each total, by the line of its period's invoice that stands."""
    spans = BillRunEventIndex.objects.for_tenant(tenant_id).filter(
        running_total_id__in=total_ids, line__invoice__kind=Invoice.Kind.PERIOD, first_position=1
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
