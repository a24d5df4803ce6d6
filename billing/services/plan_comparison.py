"""What a draft version would change, for whom: the latest usage at both prices."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from catalog.models import (
    BillableUnit,
    RatePlanVersion,
    Subscription,
    SubscriptionPeriod,
    SubscriptionPlan,
    UnitPrice,
)
from catalog.pricing import InvalidTerms, Terms, parse_terms
from catalog.services.whole_terms import whole_terms
from metering.aggregation.state import usage_in
from metering.models import RunningTotal

REACH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Change:
    """What one customer's usage of one unit costs as it stands, and what it would cost."""

    customer: str
    unit: str
    dimension: str
    quantity: Decimal
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        return EXACT.subtract(self.after, self.before)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, the largest first, and what plans ask for per period whatever the usage."""

    changes: tuple[Change, ...]
    fee_before: Decimal
    fee_after: Decimal
    subscriptions: int

    @property
    def before(self) -> Decimal:
        return self._with_fees(self.fee_before, (change.before for change in self.changes))

    @property
    def after(self) -> Decimal:
        return self._with_fees(self.fee_after, (change.after for change in self.changes))

    def _with_fees(self, fee: Decimal, amounts: Iterable[Decimal]) -> Decimal:
        total = EXACT.multiply(fee, Decimal(self.subscriptions))
        for amount in amounts:
            total = EXACT.add(total, amount)
        return total


def compare(draft: RatePlanVersion, *, now: datetime) -> Comparison | None:
    """`draft` against the latest published version of its plan; None before there is one.

    By the usage of periods that reach into the last 30 days, of every subscription to any version
    of the plan, in the plan's own currency, at list prices: what contracts and rollover change is
    left out on both sides. Raises InvalidTerms for a price that cannot be read.
    """
    versions = RatePlanVersion.objects.for_tenant(draft.tenant_id).filter(
        rate_plan=draft.rate_plan_id, status=RatePlanVersion.Status.PUBLISHED
    )
    latest = versions.order_by("-number").first()
    if latest is None:
        return None
    totals = _totals(draft, versions.values_list("pk", flat=True), now)
    new, old = _terms(draft), _terms(latest)
    units = _names(draft, {total.unit_id for total in totals})
    customers = _customers(draft, {total.subscription_id for total in totals})
    found = [
        Change(
            customers[total.subscription_id],
            units[total.unit_id],
            total.dimension,
            total.quantity,
            _price(old.get(total.unit_id), total),
            _price(new.get(total.unit_id), total),
        )
        for total in totals
    ]
    found.sort(key=lambda change: (-abs(change.difference), change.customer, change.unit))
    count = _subscribed(draft, versions.values_list("pk", flat=True))
    return Comparison(tuple(found), latest.base_fee, draft.base_fee, count)


def _totals(
    draft: RatePlanVersion, version_ids: Iterable[UUID], now: datetime
) -> Sequence[RunningTotal]:
    """The latest total of each subscription, unit and dimension."""
    periods = SubscriptionPeriod.objects.for_tenant(draft.tenant_id).filter(
        start_at__lte=now,
        end_at__gt=now - REACH,
        kind=SubscriptionPeriod.Kind.REGULAR,
        subscription__currency=draft.rate_plan.currency,
    )
    starts = dict(periods.values_list("pk", "start_at"))
    rows = RunningTotal.objects.filter(  # any tenant: filtered by id
        tenant_id=draft.tenant_id, plan_version_id__in=version_ids, period_id__in=starts
    )
    by_key: defaultdict[tuple[UUID, UUID, str], list[RunningTotal]] = defaultdict(list)
    for row in rows.order_by("id"):
        by_key[row.subscription_id, row.unit_id, row.dimension].append(row)
    return [max(found, key=lambda row: _weight(row, starts)) for found in by_key.values()]


def _weight(total: RunningTotal, starts: Mapping[UUID, datetime]) -> tuple[int, datetime]:
    """More events say more; of two alike the later period."""
    return total.event_count, starts[total.period_id]


def _terms(version: RatePlanVersion) -> dict[UUID, Terms]:
    """The terms of each unit in the plan's own currency, whole as they are once published."""
    rows = UnitPrice.objects.for_tenant(version.tenant_id).filter(version=version, currency="")
    return {
        row.unit_id: parse_terms(
            row.terms
            if version.is_published
            else whole_terms(row.terms, unit=row.unit, version=version, group_by=row.group_by)
        )
        for row in rows.select_related("unit")
    }


def _price(terms: Terms | None, total: RunningTotal) -> Decimal:
    """Zero where the unit has no price, or was grouped by other values than these terms know."""
    if terms is None:
        return ZERO
    usage = usage_in(total.quantity, total.event_count, total.state)
    try:
        return terms.of_dimension(total.dimension).charge(usage)
    except InvalidTerms:
        return ZERO


def _names(draft: RatePlanVersion, unit_ids: set[UUID]) -> dict[UUID, str]:
    rows = BillableUnit.objects.for_tenant(draft.tenant_id).filter(pk__in=unit_ids)
    return dict(rows.values_list("pk", "name"))


def _customers(draft: RatePlanVersion, subscription_ids: set[UUID]) -> dict[UUID, str]:
    rows = Subscription.objects.for_tenant(draft.tenant_id).filter(pk__in=subscription_ids)
    return dict(rows.values_list("pk", "customer__external_id"))


def _subscribed(draft: RatePlanVersion, version_ids: Iterable[UUID]) -> int:
    rows = SubscriptionPlan.objects.for_tenant(draft.tenant_id).filter(
        version_id__in=version_ids,
        end_at=None,
        subscription__currency=draft.rate_plan.currency,
        subscription__state__in=(Subscription.State.ACTIVE, Subscription.State.EXPIRING_SOON),
    )
    return rows.values("subscription").distinct().count()
