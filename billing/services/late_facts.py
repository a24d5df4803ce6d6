"""Late usage as facts: what billed totals took since, and the prices of the periods they are of."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.models import Invoice
from billing.pipeline import LateFact, StageFailed
from billing.services.advances import days_of
from billing.services.contracts import READING, Price, priced
from catalog.models import RatePlanVersion, SubscriptionPeriod
from catalog.pricing import Terms
from catalog.selectors.prices import prices_of_totals
from metering.services.estimates import settle_estimates
from metering.services.watermarks import LockedTotal


@dataclass(frozen=True, slots=True)
class _Books:
    """What late totals are priced by."""

    periods: Mapping[UUID, SubscriptionPeriod]
    versions: Mapping[UUID, RatePlanVersion]
    prices: Mapping[int, Price]


def late_facts(
    tenant_id: UUID, totals: Collection[LockedTotal], *, now: datetime
) -> Mapping[UUID, Sequence[LateFact]]:
    """What each subscription owes for these locked totals, which may have taken nothing new.

    A constant number of statements when there is anything, none otherwise. A period without a
    standing invoice is left out: it will be billed as a whole. Raises StageFailed for what cannot
    be priced.
    """
    late = [total for total in totals if total.position > (total.billed_position or 0)]
    if not late:
        return {}
    books = _books(tenant_id, late)
    late = [total for total in late if total.period_id in books.periods]
    sources = {total.id: _price(total, books).source for total in late}
    found: defaultdict[UUID, list[LateFact]] = defaultdict(list)
    for total in settle_estimates(late, prices=sources, now=now):
        found[total.subscription_id].append(_fact(total, books))
    return found


def _books(tenant_id: UUID, late: Sequence[LockedTotal]) -> _Books:
    keys = {total.id: (total.period_id, total.plan_version_id, total.unit_id) for total in late}
    sources = prices_of_totals(tenant_id, set(keys.values()))
    versions = RatePlanVersion.objects.for_tenant(tenant_id).select_related("rate_plan")
    prices = {}
    for total_id, key in keys.items():
        source = sources[key]
        if source is not None:
            prices[total_id] = priced(source)
    return _Books(
        periods=_invoiced_periods(tenant_id, {total.period_id for total in late}),
        versions=versions.in_bulk({total.plan_version_id for total in late}),
        prices=prices,
    )


def _invoiced_periods(
    tenant_id: UUID, period_ids: Collection[UUID]
) -> Mapping[UUID, SubscriptionPeriod]:
    standing = (
        Invoice.objects.for_tenant(tenant_id)
        .filter(period_id__in=period_ids, kind=Invoice.Kind.PERIOD)
        .exclude(status=Invoice.Status.VOID)
    )
    periods = SubscriptionPeriod.objects.for_tenant(tenant_id).select_related("subscription")
    return periods.in_bulk(standing.values_list("period_id", flat=True))


def _price(total: LockedTotal, books: _Books) -> Price:
    price = books.prices.get(total.id)
    if price is None:
        reason = f"running total {total.id} counts a unit that its plan version does not price"
        raise StageFailed(READING, ValueError(reason))
    return price


def _fact(total: LockedTotal, books: _Books) -> LateFact:
    price, period = _price(total, books), books.periods[total.period_id]
    version = books.versions[total.plan_version_id]
    return LateFact(
        running_total_id=total.id,
        version_id=total.plan_version_id,
        plan_name=version.rate_plan.name,
        unit_id=total.unit_id,
        unit_name=price.unit_name,
        unit_label=price.unit_label,
        dimension=total.dimension,
        period_start=period.start_at,
        period_end=period.end_at,
        before=total.billed_usage,
        after=total.usage,
        first_position=(total.billed_position or 0) + 1,
        last_position=total.position,
        digest=bytes(total.digest),
        revenue=total.late_revenue,
        terms=scaled(total.terms(price.terms), period, version),
        tax_code=price.tax_code or version.rate_plan.tax_code,
        discount_percent=version.discount_percent,
    )


def scaled(terms: Terms, period: SubscriptionPeriod, version: RatePlanVersion) -> Terms:
    """Terms whose once-per-period money is the period's share of it, by seconds or by days."""
    if version.proration == RatePlanVersion.Proration.DAY:
        part, whole = days_of(period)
    else:
        part, whole = period.seconds, period.whole_seconds
    return terms if part == whole else terms.prorated(part, whole)
