"""Truths of usage: events, the totals that count them, and the price of the totals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from aforo.money import EXACT, ZERO, plain
from aforo.tenancy.models import Tenant
from billing.attribution import replay
from billing.invariants.violations import Scope, Violation
from billing.models import BillRunEventIndex
from catalog.models import BillableUnit, UnitPrice
from catalog.pricing import InvalidTerms, Terms, Usage, parse_terms
from metering import proof
from metering.models import Receipt, RunningTotal
from metering.selectors.accounts import account_of
from metering.selectors.archives import periods_with_archives
from metering.selectors.corrections import taken_back
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
                  e.standing, e.quantity, e.revenue, e.cost)
    FROM running_totals t
    JOIN billable_units u ON u.id = t.unit_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, count(DISTINCT v."position") AS positions,
               coalesce(max(v."position"), 0) AS last,
               2 * count(*) FILTER (WHERE v.source <> 'VOID') - count(*) AS standing,
               count(*) FILTER (WHERE v.source = 'VOID') = count(c.id) AS is_corrected,
               coalesce(sum(v.revenue), 0) AS revenue, coalesce(sum(v.cost), 0) AS cost,
               CASE u.aggregation
                   WHEN 'COUNT' THEN 2 * count(*) FILTER (WHERE v.source <> 'VOID') - count(*)
                   WHEN 'SUM' THEN coalesce(sum(v.quantity), 0)
                   WHEN 'MAX' THEN coalesce(max(v.quantity) FILTER (
                       WHERE v.source <> 'VOID' AND c.id IS NULL), 0)
                   ELSE (SELECT count(*) FROM unique_values u WHERE u.running_total_id = t.id)
               END AS quantity
        FROM usage_events v
        LEFT JOIN corrections c
          ON c.running_total_id = v.running_total_id AND c."position" = v."position"
        WHERE v.running_total_id = t.id
    ) AS e
    WHERE t.id = ANY(%(ids)s) AND (
        (e.count, e.positions, e.last, e.standing, e.is_corrected) IS DISTINCT FROM
            (t."position", t."position", t."position", t.event_count, true)
        OR (e.quantity, e.revenue, e.cost) IS DISTINCT FROM (t.quantity, t.revenue, t.cost))
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
    for ids in _chosen(scope, SUMMED, without_archived=True):
        yield from scope.violations(_TOTALS, ids=ids)


def totals_without_a_period(scope: Scope) -> Iterator[Violation]:
    for ids in _chosen(scope, PRICED):
        yield from scope.violations(_HOMELESS, ids=ids)


def broken_chains(scope: Scope) -> Iterator[Violation]:
    """Every event hashed again, as an auditor would."""
    secrets = {tenant.id: bytes(tenant.hash_secret) for tenant in Tenant.objects.all()}
    for ids in _chosen(scope, HASHED, without_archived=True):
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
    """Proration moves `charge(0)` alone, on both sides, so terms of a whole period will do."""
    for ids in _chosen(scope, PRICED):
        totals = (
            RunningTotal.objects.filter(id__in=ids)  # any tenant: chosen by id
            .annotate(adjusted=Sum("adjustments__amount"))
            .order_by("id")
        )
        terms = _terms_by_price({total.plan_version_id for total in totals})
        for total in totals:
            priced_by = terms.get((total.plan_version_id, total.unit_id))
            found = _off_price(total, priced_by)
            if found:
                yield Violation(f"running total {total.id}", found)


def _off_price(total: RunningTotal, terms: Terms | None) -> str | None:
    if terms is None:
        return "no plan version prices it"
    adjusted: Decimal = getattr(total, "adjusted", None) or ZERO
    price = terms.charge(Usage(total.quantity, total.event_count))
    added = EXACT.add(EXACT.add(terms.charge(Usage(ZERO)), total.revenue), adjusted)
    if added == price:
        return None
    return f"its events come to {plain(added)}, its quantity is priced {plain(price)}"


def strays_of_partitions(_: Scope) -> Iterator[Violation]:
    if not default_is_empty():
        yield Violation("usage_events_default", "holds events of months that have no partition")


def _tenants(scope: Scope) -> list[tuple[UUID, str]]:
    tenants = Tenant.objects.order_by("slug").values_list("id", "slug")
    return list(tenants.filter(id=scope.tenant_id) if scope.tenant_id else tenants)


def _chosen(
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


def _terms_by_price(version_ids: set[UUID]) -> dict[tuple[UUID, UUID], Terms]:
    prices = UnitPrice.objects.filter(version_id__in=version_ids)  # any tenant: by id
    terms = {}
    for price in prices:
        try:
            terms[price.version_id, price.unit_id] = parse_terms(price.terms)
        except InvalidTerms:
            continue  # then nothing prices it, which is what will be said
    return terms
