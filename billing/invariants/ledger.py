"""Truths of usage: events, the totals that count them, and the price of the totals."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from aforo.money import EXACT, ZERO, plain
from aforo.tenancy.models import Tenant
from billing.attribution import replay
from billing.invariants.violations import Scope, Violation
from billing.models import BillRunEventIndex
from catalog.models import BillableUnit
from catalog.pricing import InvalidTerms, Usage
from catalog.selectors.prices import PeriodPrice, PriceKey, prices_of_totals, with_rollover
from metering import proof
from metering.aggregation.state import usage_in
from metering.models import Receipt, RunningTotal
from metering.selectors.accounts import account_of
from metering.selectors.archives import periods_with_archives
from metering.selectors.corrections import taken_back
from metering.selectors.exact_quantities import exact_quantities
from metering.services.partitions import default_is_empty

BATCH = 1_000  # totals per statement
SMALL_TENANT = 1_000_000  # events whose account is drawn up every hour: a second or two


@dataclass(frozen=True, slots=True)
class Sample:
    """How many totals an hourly check looks at, and how many events each may have at most."""

    totals: int
    events: int


SUMMED = Sample(500, 20_000)  # about a second of aggregation, at worst ten
HASHED = Sample(50, 10_000)  # at worst half a million events, walked in Python: five seconds
PRICED = Sample(2_000, 2**62)  # reads no events

# A row that takes an event back counts against it: its quantity is the negative of the event's.
_TOTALS = """
    SELECT 'running total ' || t.id,
           format('%%s events, quantity %%s, revenue %%s, cost %%s; its events: %%s, %%s, %%s, %%s',
                  t.event_count, t.quantity, t.revenue, t.cost,
                  e.standing, q.quantity, e.revenue, e.cost + a.cost)
    FROM running_totals t
    JOIN billable_units u ON u.id = t.unit_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, count(DISTINCT v."position") AS positions,
               coalesce(max(v."position"), 0) AS last,
               2 * count(*) FILTER (WHERE v.source <> 'VOID') - count(*) AS standing,
               count(*) FILTER (WHERE v.source = 'VOID') = count(c.id) AS is_corrected,
               coalesce(sum(v.revenue), 0) AS revenue, coalesce(sum(v.cost), 0) AS cost,
               coalesce(sum(v.quantity), 0) AS sum,
               max(v.quantity) FILTER (WHERE v.source <> 'VOID' AND c.id IS NULL) AS top
        FROM usage_events v
        LEFT JOIN corrections c
          ON c.running_total_id = v.running_total_id AND c."position" = v."position"
        WHERE v.running_total_id = t.id
    ) AS e
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(cost), 0) AS cost FROM rating_adjustments WHERE running_total_id = t.id
    ) AS a
    CROSS JOIN LATERAL (
        SELECT CASE u.aggregation
            WHEN 'COUNT' THEN e.standing
            WHEN 'SUM' THEN coalesce(t.carried, 0) + e.sum
            WHEN 'MAX' THEN greatest(coalesce(t.carried, 0), e.top)
            WHEN 'UNIQUE' THEN
                (SELECT count(*) FROM unique_values u WHERE u.running_total_id = t.id)
            WHEN 'AVG' THEN CASE  -- to half a unit of the last of 12 decimals
                WHEN e.standing = 0 THEN 0
                WHEN 2e12 * abs(t.quantity * e.standing - e.sum) <= e.standing THEN t.quantity
                ELSE e.sum / e.standing END
            ELSE t.quantity  -- see `quantities_off_all_events`
        END AS quantity
    ) AS q
    WHERE t.id = ANY(%(ids)s) AND (
        (e.count, e.positions, e.last, e.standing, e.is_corrected) IS DISTINCT FROM
            (t."position", t."position", t."position", t.event_count, true)
        OR (q.quantity, e.revenue, e.cost + a.cost) IS DISTINCT FROM
            (t.quantity, t.revenue, t.cost))
    ORDER BY t.id
"""
# An end that is set just before a period begins takes the period away from what came early for it.
_HOMELESS = """
    SELECT 'running total ' || t.id,
           format('counts %%s events of a period that is not there: no invoice will bill them',
                  t.event_count)
    FROM running_totals t
    WHERE t.id = ANY(%(ids)s) AND t.event_count <> 0
      AND NOT EXISTS (SELECT FROM subscription_periods p WHERE p.id = t.period_id)
    ORDER BY t.id
"""


def unaccounted_events(scope: Scope) -> Iterator[Violation]:
    """Received = counted + unbilled + duplicates + dead + held + waived + in the inbox."""
    for tenant_id, name in _tenants(scope):
        received = Receipt.objects.filter(tenant_id=tenant_id).aggregate(  # any tenant: by id
            events=Sum("event_count")
        )["events"]
        if not scope.full and (received or 0) > SMALL_TENANT:
            continue
        account = account_of(tenant_id)
        if not account.balances:
            yield Violation(f"tenant {name}", str(account))


def totals_off_their_events(scope: Scope) -> Iterator[Violation]:
    for ids in chosen(scope, SUMMED, without_archived=True):
        yield from scope.violations(_TOTALS, ids=ids)


def quantities_off_all_events(scope: Scope) -> Iterator[Violation]:
    """Levels and percentiles, of which no running sum tells: estimates once they are billed."""
    for ids in chosen(scope, SUMMED, without_archived=True):
        for total, exact in exact_quantities(ids):
            if total.quantity != exact:
                said, found = plain(total.quantity), plain(exact)
                yield Violation(
                    f"running total {total.pk}", f"quantity {said}; all of its events: {found}"
                )


def totals_without_a_period(scope: Scope) -> Iterator[Violation]:
    for ids in chosen(scope, PRICED):
        yield from scope.violations(_HOMELESS, ids=ids)


def broken_chains(scope: Scope) -> Iterator[Violation]:
    """Every event hashed again, as an auditor would."""
    secrets = {tenant.id: bytes(tenant.hash_secret) for tenant in Tenant.objects.all()}
    for ids in chosen(scope, HASHED, without_archived=True):
        totals = RunningTotal.objects.filter(id__in=ids).order_by("id")  # any tenant: chosen
        units = BillableUnit.objects.in_bulk({total.unit_id for total in totals})  # any tenant
        voids = taken_back(ids)
        for total in totals:
            span = BillRunEventIndex(
                running_total_id=total.id,
                first_position=1,
                last_position=total.position,
                digest=total.digest,
            )
            key = proof.total_key(secrets[total.tenant_id], total.id)
            unit, taken = units[total.unit_id], voids.get(total.id, {})
            flaw = replay(span, key=key, unit=unit, voids=taken).flaw
            if flaw:
                yield Violation(f"running total {total.id}", flaw)


def totals_off_their_price(scope: Scope) -> Iterator[Violation]:
    """Proration moves `charge(0)` alone, on both sides, so it is left out of both."""
    for ids in chosen(scope, PRICED):
        totals = (
            RunningTotal.objects.filter(id__in=ids)  # any tenant: chosen by id
            .annotate(adjusted=Sum("adjustments__amount"))
            .order_by("id")
        )
        prices = _prices(list(totals))
        for total in totals:
            found = _off_price(total, prices[_key(total)])
            if found:
                yield Violation(f"running total {total.id}", found)


def _off_price(total: RunningTotal, price: PeriodPrice | None) -> str | None:
    """A period that was cut, or that a contract came to, is priced anew when it is billed."""
    if price is None:
        return "no plan version prices it"
    if price.may_have_moved and total.billed_position is None:
        return None
    try:
        terms = with_rollover(price.terms.of_dimension(total.dimension), total.rollover)
    except InvalidTerms as error:
        return f"its price cannot be read: {error}"
    adjusted: Decimal = getattr(total, "adjusted", None) or ZERO
    charged = terms.charge(usage_in(total.quantity, total.event_count, total.state))
    added = EXACT.add(EXACT.add(terms.charge(Usage(ZERO)), total.revenue), adjusted)
    if added == charged:
        return None
    return f"its events come to {plain(added)}, its quantity is priced {plain(charged)}"


def _key(total: RunningTotal) -> PriceKey:
    return total.period_id, total.plan_version_id, total.unit_id


def _prices(totals: Sequence[RunningTotal]) -> Mapping[PriceKey, PeriodPrice | None]:
    keys: defaultdict[UUID, set[PriceKey]] = defaultdict(set)
    for total in totals:
        keys[total.tenant_id].add(_key(total))
    found: dict[PriceKey, PeriodPrice | None] = {}
    for tenant_id, of_tenant in keys.items():
        found |= prices_of_totals(tenant_id, of_tenant)
    return found


def strays_of_partitions(_: Scope) -> Iterator[Violation]:
    if not default_is_empty():
        yield Violation("usage_events_default", "holds events of months that have no partition")


def _tenants(scope: Scope) -> list[tuple[UUID, str]]:
    tenants = Tenant.objects.order_by("slug").values_list("id", "slug")
    return list(tenants.filter(id=scope.tenant_id) if scope.tenant_id else tenants)


def chosen(
    scope: Scope, sample: Sample, *, without_archived: bool = False
) -> Iterator[Sequence[int]]:
    """Ids of totals to look at, in batches: all, or a random sample of those that are not huge.

    What was archived cannot be walked: totals whose events may be among it can be left out.
    """
    totals = RunningTotal.objects.all()  # any tenant: the scope says whose
    archived = periods_with_archives() if without_archived else None
    if archived is not None:
        totals = totals.exclude(period_id__in=archived.values("id"))
    if scope.tenant_id:
        totals = totals.filter(tenant_id=scope.tenant_id)
    if not scope.full:
        small = totals.filter(event_count__lte=sample.events).order_by("?")
        yield list(small.values_list("id", flat=True)[: sample.totals])
        return
    last = 0
    while ids := list(
        totals.filter(id__gt=last).order_by("id").values_list("id", flat=True)[:BATCH]
    ):
        yield ids
        last = ids[-1]
