"""Late usage as facts: what billed totals took since, and the prices of the periods they are of."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from aforo.money import EXACT
from billing.models import Invoice
from billing.pipeline import LateFact, StageFailed
from billing.services.contracts import READING, Price, prices_of
from catalog.models import RatePlanVersion, SubscriptionPeriod
from catalog.pricing import Usage
from metering.services.watermarks import LockedTotal


def late_facts(
    tenant_id: UUID, totals: Collection[LockedTotal]
) -> Mapping[UUID, Sequence[LateFact]]:
    """What each subscription owes for these locked totals, which may have taken nothing new.

    Three statements when there is anything, none otherwise. A period without a standing invoice is
    left out: it will be billed as a whole. Raises StageFailed for what cannot be priced.
    """
    late = [total for total in totals if total.position > (total.billed_position or 0)]
    late = [total for total in late if total.billed_position is not None]
    if not late:
        return {}
    periods = _invoiced_periods(tenant_id, {total.period_id for total in late})
    version_ids = {total.plan_version_id for total in late}
    versions = RatePlanVersion.objects.for_tenant(tenant_id).select_related("rate_plan")
    names = {version.id: version.rate_plan.name for version in versions.filter(id__in=version_ids)}
    prices = prices_of(tenant_id, version_ids)
    found: defaultdict[UUID, list[LateFact]] = defaultdict(list)
    for total in late:
        period = periods.get(total.period_id)
        if period is not None:
            price = _price(total, prices.get(total.plan_version_id, ()))
            fact = _fact(total, period, price, names[total.plan_version_id])
            found[total.subscription_id].append(fact)
    return found


def _invoiced_periods(
    tenant_id: UUID, period_ids: Collection[UUID]
) -> Mapping[UUID, SubscriptionPeriod]:
    standing = (
        Invoice.objects.for_tenant(tenant_id)
        .filter(period_id__in=period_ids, kind=Invoice.Kind.PERIOD)
        .exclude(status=Invoice.Status.VOID)
    )
    periods = SubscriptionPeriod.objects.for_tenant(tenant_id)
    return periods.in_bulk(standing.values_list("period_id", flat=True))


def _price(total: LockedTotal, prices: Sequence[Price]) -> Price:
    for price in prices:
        if price.unit_id == total.unit_id:
            return price
    reason = f"running total {total.id} counts a unit that its plan version does not price"
    raise StageFailed(READING, ValueError(reason))


def _fact(total: LockedTotal, period: SubscriptionPeriod, price: Price, plan: str) -> LateFact:
    assert total.billed_position is not None  # noqa: S101 - the caller chose such
    assert total.billed_quantity is not None  # noqa: S101 - a check constraint
    assert total.billed_revenue is not None  # noqa: S101 - likewise
    return LateFact(
        running_total_id=total.id,
        version_id=total.plan_version_id,
        plan_name=plan,
        unit_id=total.unit_id,
        unit_name=price.unit_name,
        unit_label=price.unit_label,
        dimension=total.dimension,
        period_start=period.start_at,
        period_end=period.end_at,
        before=Usage(total.billed_quantity, total.billed_event_count or 0),
        after=Usage(total.quantity, total.event_count),
        first_position=total.billed_position + 1,
        last_position=total.position,
        digest=bytes(total.digest),
        revenue=EXACT.subtract(total.revenue, total.billed_revenue),
        terms=price.terms.prorated(period.seconds, period.whole_seconds),
    )
