"""What each period of a chunk is billed by: pinned plans and their prices, read set by set."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from billing.pipeline import PlanFact, StageFailed
from catalog.models import RatePlanVersion, SubscriptionPeriod, SubscriptionPlan, UnitPrice
from catalog.pricing import InvalidTerms, Terms, parse_terms

READING = "Facts"
"""What a failure before the first of the ten stages is filed under."""


@dataclass(frozen=True, slots=True)
class Price:
    """One priced unit of one plan version: whatever its usage, it gets a line."""

    version_id: UUID
    unit_id: UUID
    unit_name: str
    unit_label: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class Contract:
    """The plans that a subscription is pinned to, and the price of each of their units."""

    plans: tuple[PlanFact, ...]
    prices: tuple[Price, ...]


def contracts_for(
    tenant_id: UUID, periods: Sequence[SubscriptionPeriod]
) -> Mapping[UUID, Contract]:
    """The contract of each period's subscription, by the subscription's id, in two statements.

    Raises StageFailed when a stored price cannot be read.
    """
    plans = _plans(tenant_id, {period.subscription_id for period in periods})
    prices = prices_of(tenant_id, {plan.version_id for facts in plans.values() for plan in facts})
    return {
        subscription_id: Contract(
            tuple(facts), tuple(price for plan in facts for price in prices[plan.version_id])
        )
        for subscription_id, facts in plans.items()
    }


def _plans(tenant_id: UUID, subscription_ids: Collection[UUID]) -> Mapping[UUID, list[PlanFact]]:
    pinned = (
        SubscriptionPlan.objects.for_tenant(tenant_id)
        .filter(subscription_id__in=subscription_ids)
        .select_related("version__rate_plan")
        .order_by("position", "id")
    )
    plans: defaultdict[UUID, list[PlanFact]] = defaultdict(list)
    for plan in pinned:
        plans[plan.subscription_id].append(_plan_fact(plan.version))
    return plans


def _plan_fact(version: RatePlanVersion) -> PlanFact:
    return PlanFact(
        version_id=version.id,
        name=version.rate_plan.name,
        base_fee=version.base_fee,
        minimum_spend=version.minimum_spend,
        discount_percent=version.discount_percent,
        discount_amount=version.discount_amount,
    )


def prices_of(tenant_id: UUID, version_ids: Collection[UUID]) -> Mapping[UUID, list[Price]]:
    """The prices of plan versions by version, in one statement.

    Raises StageFailed when a stored price cannot be read.
    """
    rows = (
        UnitPrice.objects.for_tenant(tenant_id)
        .filter(version_id__in=version_ids)
        .select_related("unit")
        .order_by("position", "id")
    )
    prices: defaultdict[UUID, list[Price]] = defaultdict(list)
    for row in rows:
        unit = row.unit
        terms = _terms(row)
        prices[row.version_id].append(
            Price(row.version_id, unit.id, unit.name, unit.unit_label, terms)
        )
    return prices


def _terms(price: UnitPrice) -> Terms:
    try:
        return parse_terms(price.terms)
    except InvalidTerms as error:
        raise StageFailed(READING, error) from error
