"""Which totals a recount looks at, with all that pricing their events again takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from aforo.errors import Refused
from aforo.periods import add_months
from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit, SubscriptionPeriod, UnitPrice
from catalog.pricing import InvalidTerms, Terms, parse_terms
from metering import proof
from metering.models import Correction, RunningTotal

AT_A_TIME = 500  # totals whose prices and corrections are read together
_DAY = timedelta(days=1)  # no zone is further from UTC


@dataclass(frozen=True, slots=True)
class Recounted:
    """A running total, and what is needed to count its events again.

    `voided` is by position of an event that was taken back: where that was done.
    """

    total: RunningTotal
    unit: BillableUnit
    terms: Terms
    key: bytes
    voided: Mapping[int, int]


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
    versions = {total.plan_version_id for total in totals}
    prices = UnitPrice.objects.for_tenant(tenant).filter(version_id__in=versions)
    terms = {(price.version_id, price.unit_id): price.terms for price in prices}
    voided: dict[int, dict[int, int]] = {total.pk: {} for total in totals}
    taken_back = Correction.objects.for_tenant(tenant).filter(running_total_id__in=voided)
    for row in taken_back:
        if row.running_total_id and row.position and row.void_position:
            voided[row.running_total_id][row.position] = row.void_position
    secret = bytes(tenant.hash_secret)
    for total in totals:
        yield Recounted(
            total,
            units[total.unit_id],
            _parsed(terms.get((total.plan_version_id, total.unit_id), {}), total),
            proof.total_key(secret, total.pk),
            voided[total.pk],
        )


def _parsed(wire: dict[str, object], total: RunningTotal) -> Terms:
    try:
        return parse_terms(wire)
    except InvalidTerms as error:
        raise Refused(f"{total} has no price that can be read: {error}") from error
