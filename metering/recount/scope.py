"""Which totals a recount looks at, with all that pricing their events again takes."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from aforo.errors import Refused
from aforo.periods import add_months
from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit, SubscriptionPeriod
from catalog.pricing import InvalidTerms, Terms
from catalog.selectors.prices import PeriodPrice, PriceKey, prices_of_totals, with_rollover
from metering import proof
from metering.aggregation import Span
from metering.models import Correction, RateCard, RatingAdjustment, RunningTotal, UniqueValue
from metering.proof import microseconds

AT_A_TIME = 500  # totals whose prices and corrections are read together
_DAY = timedelta(days=1)  # no zone is further from UTC


@dataclass(frozen=True, slots=True)
class Recounted:
    """A running total, and what is needed to count its events again.

    `terms` are those of its dimension, without what was granted by rollover: `adjustments`, in
    their order, say of that, and of levels that were carried over. `may_have_moved`: its events
    were priced by other terms, perhaps. `by_card`: its costs follow rate cards,
    and are taken as the events say them. `voided` is by position of an event that was taken back:
    where that was done.
    """

    total: RunningTotal
    unit: BillableUnit
    terms: Terms
    span: Span
    key: bytes
    voided: Mapping[int, int]
    adjustments: Sequence[RatingAdjustment] = ()
    may_have_moved: bool = False
    by_card: bool = False

    @property
    def final_terms(self) -> Terms:
        """As they hold now."""
        return with_rollover(self.terms, self.total.rollover)

    @property
    def carried_values(self) -> frozenset[str]:
        """Hashes of the values that UNIQUE begins with now."""
        rows = UniqueValue.objects.filter(  # any tenant: by total
            running_total_id=self.total.pk, is_carried=True
        )
        return frozenset(value.hex for value in rows.values_list("value", flat=True))

    def values_carried_since(self) -> Mapping[int, frozenset[str]]:
        """Those that it began with from each adjustment on, by its id."""
        values, found = self.carried_values, {}
        for one in reversed(self.adjustments):
            found[one.pk] = values if one.carried is not None else frozenset()
            moved = one.moved_values or {"came": (), "left": ()}
            values = values.difference(moved["came"]).union(moved["left"])
        return found


def totals_of_period(
    *, tenant: Tenant, month: datetime, subscription_id: UUID | None = None
) -> Iterator[Recounted]:
    """The totals of all billing periods that begin in `month`, where their subscription is.

    Raises Refused when the price of one of them cannot be read.
    """
    periods = _periods(tenant, month, subscription_id)
    for start in range(0, len(periods), AT_A_TIME):
        rows = RunningTotal.objects.filter(  # any tenant: periods of one
            period_id__in=periods[start : start + AT_A_TIME]
        )
        yield from _with_prices(tenant, list(rows.order_by("id")))


def _periods(tenant: Tenant, month: datetime, subscription_id: UUID | None) -> list[UUID]:
    rows = SubscriptionPeriod.objects.for_tenant(tenant).filter(
        start_at__gte=month - _DAY, start_at__lt=add_months(month, 1) + _DAY
    )
    if subscription_id is not None:
        rows = rows.filter(subscription_id=subscription_id)
    found = rows.order_by("start_at", "id").values_list("id", "start_at", "subscription__time_zone")
    return [period_id for period_id, start, zone in found if _is_in(month, start, zone)]


def _is_in(month: datetime, moment: datetime, zone: str) -> bool:
    local = moment.astimezone(ZoneInfo(zone))
    return (local.year, local.month) == (month.year, month.month)


def _with_prices(tenant: Tenant, totals: list[RunningTotal]) -> Iterator[Recounted]:
    units = BillableUnit.objects.for_tenant(tenant).in_bulk({total.unit_id for total in totals})
    prices = prices_of_totals(tenant.pk, set(map(_key, totals)))
    periods = SubscriptionPeriod.objects.for_tenant(tenant)
    spans = periods.in_bulk({total.period_id for total in totals})
    voided: dict[int, dict[int, int]] = {total.pk: {} for total in totals}
    taken_back = Correction.objects.for_tenant(tenant).filter(running_total_id__in=voided)
    for row in taken_back:
        if row.running_total_id and row.position and row.void_position:
            voided[row.running_total_id][row.position] = row.void_position
    adjusted = _adjustments(voided)
    carded = set(RateCard.objects.for_tenant(tenant).values_list("unit_id", flat=True))
    secret = bytes(tenant.hash_secret)
    for total in totals:
        price, period = prices[_key(total)], spans[total.period_id]
        yield Recounted(
            total=total,
            unit=units[total.unit_id],
            terms=_terms(price, total),
            span=(microseconds(period.start_at), microseconds(period.end_at)),
            key=proof.total_key(secret, total.pk),
            voided=voided[total.pk],
            adjustments=adjusted[total.pk],
            may_have_moved=price is not None and price.may_have_moved,
            by_card=total.unit_id in carded,
        )


def _key(total: RunningTotal) -> PriceKey:
    return total.period_id, total.plan_version_id, total.unit_id


def _adjustments(total_ids: Collection[int]) -> Mapping[int, list[RatingAdjustment]]:
    rows = RatingAdjustment.objects.filter(  # any tenant: by total
        running_total_id__in=list(total_ids)
    )
    found: defaultdict[int, list[RatingAdjustment]] = defaultdict(list)
    for row in rows.order_by("id"):
        found[row.running_total_id].append(row)
    return found


def _terms(price: PeriodPrice | None, total: RunningTotal) -> Terms:
    if price is None:
        raise Refused(f"{total} has no price")
    try:
        return price.terms.of_dimension(total.dimension)
    except InvalidTerms as error:
        raise Refused(f"{total} has no price that can be read: {error}") from error
