"""What a unit costs in a period: the one answer, for ingest, replays, billing and proof.

Terms of (version, unit) in a period are those of the contract phase that is pinned to the period,
else those of the plan in the subscription's currency, else the plan's own; in a trial they are
free. Of a period that is cut by a change of plans or a pause, the allowance is its share.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from aforo.money import EXACT, ZERO, divide
from catalog.models import (
    ContractPrice,
    Subscription,
    SubscriptionPeriod,
    SubscriptionPlan,
    UnitPrice,
)
from catalog.pricing import FREE, Terms, parse_terms
from catalog.selectors.agreements import AgreedPrice, takes_allowance, terms_under

Wire = Mapping[str, object]
Share = tuple[int, int]
"""Microseconds that a period lasts, and those of the whole one that its allowance is stated for."""
PriceKey = tuple[UUID, UUID, UUID]  # period, plan version, unit: what a running total is of

Row = TypeVar("Row")
_MICROSECOND = timedelta(microseconds=1)


def terms_in_period(
    wire: Wire,
    *,
    is_trial: bool = False,
    agreed_wire: Wire | None = None,
    agreed_allowance: Decimal | None = None,
    share: Share | None = None,
) -> Terms:
    """The terms that usage of a period is priced by, before rollover and of every dimension.

    `agreed_*` are the contract's, None where it says nothing; an allowance alone changes nothing of
    a model that has none. Raises InvalidTerms.
    """
    if is_trial:
        return FREE
    chosen = wire if agreed_wire is None else agreed_wire
    terms = parse_terms(chosen)
    if agreed_allowance is not None and takes_allowance(chosen):
        terms = terms.with_allowance(agreed_allowance)
    if share is None or terms.included_free == ZERO:
        return terms
    part, whole = share
    scaled = EXACT.multiply(terms.included_free, Decimal(part))
    return terms.with_allowance(divide(scaled, Decimal(whole)))


def with_rollover(terms: Terms, rollover: Decimal) -> Terms:
    """The terms of a total that grants `rollover` units beside those included."""
    if not rollover:
        return terms
    return terms.with_allowance(EXACT.add(terms.included_free, rollover))


def allowance_share(
    start: datetime,
    end: datetime,
    whole_start: datetime,
    whole_end: datetime | None,
    *,
    subscription_start: datetime,
    trial_end: datetime | None,
    subscription_end: datetime | None,
) -> Share | None:
    """What part of its allowance a period grants; None: all of it.

    The first period that is paid for and the last one grant all, however short they are.
    """
    begins_late = whole_start < start and start not in {subscription_start, trial_end}
    ends_early = whole_end is not None and whole_end > end and end != subscription_end
    if not begins_late and not ends_early:
        return None
    return (end - start) // _MICROSECOND, ((whole_end or end) - whole_start) // _MICROSECOND


def is_pinned(start: datetime | None, end: datetime | None, period_start: datetime) -> bool:
    """Whether a version that is pinned for [start, end) prices a period that begins then."""
    return (start is None or start <= period_start) and (end is None or period_start < end)


def in_currency(rows: Mapping[str, Row], currency: str) -> Row | None:
    """Of one unit's prices in a version by currency, the one that a subscription pays."""
    return rows.get(currency) or rows.get("")


@dataclass(frozen=True, slots=True)
class PeriodPrice:
    """One priced unit of one plan version in one period; `row` is the plan's.

    `agreed` is what the customer's contract says of the unit in this period, if anything.
    """

    row: UnitPrice
    agreed: ContractPrice | None = None
    is_trial: bool = False
    share: Share | None = None
    _memory: dict[object, Terms] = field(default_factory=dict, repr=False, compare=False)

    @property
    def version_id(self) -> UUID:
        return self.row.version_id

    @property
    def unit_id(self) -> UUID:
        return self.row.unit_id

    @property
    def wire(self) -> Wire:
        """The terms that apply, as they were written: of the trial, the contract, else the plan."""
        if self.is_trial:
            return FREE.as_dict()
        if self.agreed is None:
            return terms_under(None, self.row.terms)
        agreed = AgreedPrice(self.agreed.terms, self.agreed.included_free)
        return terms_under(agreed, self.row.terms)

    @property
    def may_have_moved(self) -> bool:
        """Whether events may have been priced by other terms than these are by now.

        A period that is cut grants less from then on, and a contract replaces a price.
        """
        return self.share is not None or self.agreed is not None

    @property
    def terms(self) -> Terms:
        """Read once per distinct price of a page. Raises InvalidTerms."""
        agreed_id = self.agreed.pk if self.agreed else None
        key = (self.row.pk, agreed_id, self.is_trial, self.share)
        if key not in self._memory:
            self._memory[key] = terms_in_period(
                self.row.terms,
                is_trial=self.is_trial,
                agreed_wire=self.agreed.terms if self.agreed else None,
                agreed_allowance=self.agreed.included_free if self.agreed else None,
                share=self.share,
            )
        return self._memory[key]


def prices_of_periods(
    tenant_id: UUID, periods: Sequence[SubscriptionPeriod]
) -> Mapping[UUID, Sequence[PeriodPrice]]:
    """By period, every unit that the versions pinned for it price, in the order of the plans.

    Four statements, however many periods.
    """
    plans = pinned_versions(tenant_id, periods)
    book = _Book(tenant_id, periods, {one for found in plans.values() for one in found})
    return {
        period.pk: tuple(
            price
            for version_id in plans[period.pk]
            for unit_id in book.units_of(version_id)
            for price in (book.price(period, version_id, unit_id),)
            if price is not None
        )
        for period in periods
    }


def pinned_versions(
    tenant_id: UUID, periods: Sequence[SubscriptionPeriod]
) -> Mapping[UUID, Sequence[UUID]]:
    """By period, the plan versions that price it, in their order; one statement."""
    rows = (
        SubscriptionPlan.objects.for_tenant(tenant_id)
        .filter(subscription_id__in={period.subscription_id for period in periods})
        .order_by("position", "id")
        .values_list("subscription_id", "version_id", "start_at", "end_at")
    )
    plans: defaultdict[UUID, list[tuple[UUID, datetime | None, datetime | None]]]
    plans = defaultdict(list)
    for subscription_id, *plan in rows:
        plans[subscription_id].append(tuple(plan))
    return {
        period.pk: tuple(
            version_id
            for version_id, start, end in plans[period.subscription_id]
            if is_pinned(start, end, period.start_at)
        )
        for period in periods
    }


def prices_of_totals(
    tenant_id: UUID, keys: Collection[PriceKey]
) -> Mapping[PriceKey, PeriodPrice | None]:
    """The price of each total, whatever is pinned by now; None where its version has none.

    A period that was taken back has no contract: the plan's own row prices what is left of it.
    Four statements.
    """
    rows = SubscriptionPeriod.objects.for_tenant(tenant_id)
    periods = rows.in_bulk({period_id for period_id, _, _ in keys})
    book = _Book(tenant_id, list(periods.values()), {version_id for _, version_id, _ in keys})
    return {
        (period_id, version_id, unit_id): book.price(periods.get(period_id), version_id, unit_id)
        for period_id, version_id, unit_id in keys
    }


class _Book:
    """Everything that the prices of some periods and versions are made of."""

    def __init__(
        self, tenant_id: UUID, periods: Sequence[SubscriptionPeriod], version_ids: Collection[UUID]
    ) -> None:
        self._rows = _rows(tenant_id, version_ids)
        self._agreed = _agreed(tenant_id, {period.contract_phase_id for period in periods})
        self._subscriptions = _subscriptions(tenant_id, periods)
        self._memory: dict[object, Terms] = {}

    def units_of(self, version_id: UUID) -> Iterable[UUID]:
        return self._rows.get(version_id, {}).keys()

    def price(
        self, period: SubscriptionPeriod | None, version_id: UUID, unit_id: UUID
    ) -> PeriodPrice | None:
        rows = self._rows.get(version_id, {}).get(unit_id, {})
        if period is None:
            row = rows.get("") or next(iter(rows.values()), None)
            return None if row is None else PeriodPrice(row, _memory=self._memory)
        subscription = self._subscriptions[period.subscription_id]
        row = in_currency(rows, subscription.currency)
        if row is None:
            return None
        return PeriodPrice(
            row=row,
            agreed=self._agreed.get((period.contract_phase_id, unit_id)),
            is_trial=period.kind == SubscriptionPeriod.Kind.TRIAL,
            share=share_of(period, subscription),
            _memory=self._memory,
        )


def share_of(period: SubscriptionPeriod, subscription: Subscription) -> Share | None:
    """`allowance_share` of a stored period."""
    return allowance_share(
        period.start_at,
        period.end_at,
        period.whole_start_at,
        period.whole_end_at,
        subscription_start=subscription.start_at,
        trial_end=subscription.trial_end_at,
        subscription_end=subscription.end_at,
    )


def _rows(
    tenant_id: UUID, version_ids: Collection[UUID]
) -> Mapping[UUID, Mapping[UUID, Mapping[str, UnitPrice]]]:
    """By version, unit and currency."""
    found: dict[UUID, dict[UUID, dict[str, UnitPrice]]] = {}
    rows = UnitPrice.objects.for_tenant(tenant_id).filter(version_id__in=version_ids)
    for row in rows.select_related("unit").order_by("position", "id"):
        units = found.setdefault(row.version_id, {})
        units.setdefault(row.unit_id, {})[row.currency] = row
    return found


def _agreed(
    tenant_id: UUID, phase_ids: Collection[UUID | None]
) -> Mapping[tuple[UUID | None, UUID], ContractPrice]:
    phases = set(phase_ids) - {None}
    if not phases:
        return {}
    rows = ContractPrice.objects.for_tenant(tenant_id).filter(phase_id__in=phases)
    return {(row.phase_id, row.unit_id): row for row in rows}


def _subscriptions(
    tenant_id: UUID, periods: Sequence[SubscriptionPeriod]
) -> Mapping[UUID, Subscription]:
    rows = Subscription.objects.for_tenant(tenant_id)
    return rows.in_bulk({period.subscription_id for period in periods})
