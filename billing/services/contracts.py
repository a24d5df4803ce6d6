"""What each period of a chunk is billed by: plans pinned for it and their prices, set by set."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, divide
from billing.pipeline import PlanFact, StageFailed
from catalog.models import RatePlanVersion, SubscriptionPeriod, UnitPrice, VersionCurrency
from catalog.pricing import InvalidTerms, Terms
from catalog.selectors.prices import PeriodPrice, pinned_versions, prices_of_periods

_HUNDRED = Decimal(100)
READING = "Facts"
"""What a failure before the first of the ten stages is filed under."""


@dataclass(frozen=True, slots=True)
class Price:
    """One priced unit of one plan version in one period: whatever its usage, it gets a line.

    `terms` are those of the period, of every dimension, before rollover.
    """

    source: PeriodPrice
    terms: Terms

    @property
    def version_id(self) -> UUID:
        return self.source.version_id

    @property
    def unit_id(self) -> UUID:
        return self.source.unit_id

    @property
    def unit_name(self) -> str:
        return str(self.source.row.unit.name)

    @property
    def unit_label(self) -> str:
        return str(self.source.row.unit.unit_label)

    @property
    def tax_code(self) -> str:
        return str(self.source.row.unit.tax_code)

    @property
    def is_in_advance(self) -> bool:
        return bool(self.source.row.timing == UnitPrice.Timing.ADVANCE)

    @property
    def rollover_periods(self) -> int:
        return int(self.source.row.rollover_periods)

    @property
    def rollover_cap(self) -> Decimal | None:
        """In units, whichever way it is stated; of both, the lower one."""
        row, caps = self.source.row, []
        if row.rollover_cap is not None:
            caps.append(row.rollover_cap)
        if row.rollover_cap_percent is not None:
            hundredfold = EXACT.multiply(self.terms.included_free, row.rollover_cap_percent)
            caps.append(divide(hundredfold, _HUNDRED))  # terms take 12 decimals, as grants do
        return min(caps, default=None)


@dataclass(frozen=True, slots=True)
class Contract:
    """The plans that are pinned for a period, and the price of each of their units."""

    plans: tuple[PlanFact, ...] = ()
    prices: tuple[Price, ...] = ()


def contracts_for(
    tenant_id: UUID, periods: Sequence[SubscriptionPeriod]
) -> Mapping[UUID, Contract]:
    """The contract of each period by its id, in seven statements. Periods come with subscription.

    Raises StageFailed when a stored price cannot be read.
    """
    pinned = pinned_versions(tenant_id, periods)
    version_ids = {version_id for found in pinned.values() for version_id in found}
    versions = _versions(tenant_id, version_ids)
    currencies = _currencies(tenant_id, version_ids)
    prices = prices_of_periods(tenant_id, periods)
    return {
        period.pk: Contract(
            plans=tuple(
                _plan_fact(
                    versions[version_id],
                    currencies.get((version_id, period.subscription.currency)),
                )
                for version_id in pinned[period.pk]
            ),
            prices=tuple(priced(source) for source in prices[period.pk]),
        )
        for period in periods
    }


def priced(source: PeriodPrice) -> Price:
    """Raises StageFailed when the stored terms cannot be read."""
    try:
        return Price(source, source.terms)
    except InvalidTerms as error:
        raise StageFailed(READING, error) from error


def _versions(tenant_id: UUID, ids: Collection[UUID]) -> Mapping[UUID, RatePlanVersion]:
    rows = RatePlanVersion.objects.for_tenant(tenant_id).select_related("rate_plan")
    return {row.pk: row for row in rows.filter(pk__in=ids)}


def _currencies(
    tenant_id: UUID, version_ids: Collection[UUID]
) -> Mapping[tuple[UUID, str], VersionCurrency]:
    rows = VersionCurrency.objects.for_tenant(tenant_id).filter(version_id__in=version_ids)
    return {(row.version_id, row.currency): row for row in rows}


def _plan_fact(version: RatePlanVersion, currency: VersionCurrency | None) -> PlanFact:
    """A version's fees: those of the subscription's currency, else in the plan's own."""
    fees: RatePlanVersion | VersionCurrency = currency or version
    return PlanFact(
        version_id=version.pk,
        name=version.rate_plan.name,
        base_fee=fees.base_fee,
        setup_fee=fees.setup_fee,
        minimum_spend=fees.minimum_spend,
        maximum_spend=fees.maximum_spend,
        discount_percent=version.discount_percent,
        discount_amount=fees.discount_amount,
        in_advance=version.base_fee_timing == RatePlanVersion.BaseFeeTiming.ADVANCE,
        by_days=version.proration == RatePlanVersion.Proration.DAY,
        tax_code=version.rate_plan.tax_code,
    )
