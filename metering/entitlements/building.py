"""Reads from PostgreSQL what customers may do: a page of them in a dozen statements."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from catalog import aliases
from catalog.models import (
    BillableUnit,
    CustomerAlias,
    Feature,
    FeatureOverride,
    PlanFeature,
    RatePlanVersion,
    Subscription,
)
from catalog.pricing import InvalidTerms, Terms
from catalog.selectors.contracts import (
    CustomerContract,
    PeriodSpan,
    PriceContract,
    SubscriptionContract,
    contracts_of,
)
from catalog.selectors.features import granted_by_plan, overrides_by_subscription
from catalog.selectors.prices import is_pinned, terms_in_period
from metering.entitlements.standing import (
    HORIZON_SECONDS,
    Granted,
    Quota,
    Span,
    Standing,
    encode,
    use_field,
)
from metering.entitlements.state import STANDING, Field, Version
from metering.entitlements.uses import Pair, uses_of

State = Subscription.State
LET_IN = frozenset(
    {State.CREATED, State.TRIALING, State.ACTIVE, State.PAST_DUE, State.EXPIRING_SOON}
)


class Built(NamedTuple):
    """What is written of one customer: its fields, its other names, the uses that are its own."""

    customer_id: str
    version: Version
    fields: list[Field]
    digests: list[str]
    uses: list[str]


class Builder:
    """Builds the customers of one tenant; remembers its plans, so that pages share them."""

    def __init__(self, tenant_id: UUID, *, now: datetime) -> None:
        self.tenant_id = tenant_id
        self.now = now
        units = BillableUnit.objects.for_tenant(tenant_id)
        self._units = {unit.pk: unit for unit in units}
        limits = Feature.objects.for_tenant(tenant_id).filter(unit__isnull=False, archived_at=None)
        self._featured = set(limits.values_list("unit_id", flat=True))
        self._granted = granted_by_plan(tenant_id)
        self._versions: dict[UUID, tuple[UUID, str]] = {}
        self._quotas: dict[object, Quota] = {}
        self._features: dict[object, dict[str, tuple[Granted, ...]]] = {}

    def build(self, customers: Collection[str], version: Version) -> dict[str, Built]:
        """By external id. `version` was read before this builder was made."""
        contracts = contracts_of(self.tenant_id, customers, since=self.now)
        owned = {name: one for name, one in contracts.items() if name == one.external_id}
        subscription_ids = [sub.id for one in owned.values() for sub in one.subscriptions]
        states = self._states(subscription_ids)
        overrides = overrides_by_subscription(self.tenant_id, subscription_ids)
        self._learn_versions(owned.values())
        digests = self._digests([one.customer_id for one in owned.values()])
        standings = {
            name: self._standing(contract, states, overrides) for name, contract in owned.items()
        }
        uses = self._uses(standings.values(), version)
        return {
            name: self._built(one, digests[owned[name].customer_id], uses, version)
            for name, one in standings.items()
        }

    def _built(
        self,
        standing: Standing,
        digests: list[str],
        uses: Mapping[str, Field],
        version: Version,
    ) -> Built:
        own = [use_field(period.hex, unit.hex) for period, unit in _limited(standing)]
        fields = [Field(STANDING, version, encode(standing))]
        fields += [uses[name] for name in own if name in uses]
        return Built(standing.customer_id, version, fields, digests, own)

    def _standing(
        self,
        contract: CustomerContract,
        states: Mapping[UUID, str],
        overrides: Mapping[UUID, list[FeatureOverride]],
    ) -> Standing:
        spans = [
            self._span(subscription, period, overrides.get(subscription.id, []))
            for subscription in contract.subscriptions
            if states.get(subscription.id) in LET_IN
            for period in self._near(subscription)
        ]
        return Standing(str(contract.customer_id), contract.external_id, tuple(spans))

    def _near(self, subscription: SubscriptionContract) -> Iterable[PeriodSpan]:
        soon = self.now + timedelta(seconds=HORIZON_SECONDS)
        return (
            period
            for period in subscription.periods
            if period.end > self.now and period.start < soon
        )

    def _span(
        self,
        subscription: SubscriptionContract,
        period: PeriodSpan,
        overrides: Sequence[FeatureOverride],
    ) -> Span:
        pinned = [
            plan.version_id
            for plan in subscription.plans
            if is_pinned(plan.start, plan.end, period.start)
        ]
        plans = [self._versions[version_id] for version_id in pinned]
        end = min(period.end, subscription.end) if subscription.end else period.end
        features = self._features_of(tuple(plan_id for plan_id, _ in plans))
        return Span(
            period.id.hex,
            max(period.start, subscription.start).timestamp(),
            end.timestamp(),
            plans[0][1] if plans else "",
            self._overridden(features, overrides) if overrides else features,
            {
                self._units[price.unit_id].name: quota
                for price in subscription.prices_in(period)
                for quota in (self._quota(subscription, period, price),)
                if quota is not None
            },
        )

    def _quota(
        self, subscription: SubscriptionContract, period: PeriodSpan, price: PriceContract
    ) -> Quota | None:
        agreed = subscription.agreed_in(period, price.unit_id)
        wire_of = agreed.phase_id if agreed else subscription.currency
        key = (price.version_id, price.unit_id, wire_of, period.is_trial, period.share)
        if key not in self._quotas:
            try:
                terms = terms_in_period(
                    price.terms,
                    is_trial=period.is_trial,
                    agreed_wire=agreed.terms if agreed else None,
                    agreed_allowance=agreed.included_free if agreed else None,
                    share=period.share,
                )
            except InvalidTerms:
                return None
            unit = self._units[price.unit_id]
            self._quotas[key] = _quota(unit, terms, is_featured=unit.pk in self._featured)
        return self._quotas[key]

    def _features_of(self, plan_ids: tuple[UUID, ...]) -> dict[str, tuple[Granted, ...]]:
        """What plans have together: of one feature in several, the most."""
        if plan_ids not in self._features:
            found: dict[str, tuple[Granted, ...]] = {}
            for plan_id in plan_ids:
                for row in self._granted.get(plan_id, ()):
                    grant, key = self._grant(row), row.feature.key
                    if key not in found or _is_more(grant, found[key][0]):
                        found[key] = (grant,)
            self._features[plan_ids] = found
        return self._features[plan_ids]

    def _overridden(
        self, features: Mapping[str, tuple[Granted, ...]], overrides: Sequence[FeatureOverride]
    ) -> dict[str, tuple[Granted, ...]]:
        """An override stands before what the plans say, which holds again when it expires."""
        found = dict(features)
        for row in overrides:
            if not row.is_over(self.now):
                until = row.expires_at.timestamp() if row.expires_at else None
                grant = self._grant(row, is_enabled=row.enabled, until=until)
                found[row.feature.key] = (grant, *found.get(row.feature.key, ()))
        return found

    def _grant(
        self,
        row: PlanFeature | FeatureOverride,
        *,
        is_enabled: bool = True,
        until: float | None = None,
    ) -> Granted:
        feature = row.feature
        unit = self._units[feature.unit_id].name if feature.unit_id else None
        return Granted(feature.kind, is_enabled, row.limit, row.value, unit, until)

    def _states(self, subscription_ids: Collection[UUID]) -> dict[UUID, str]:
        rows = Subscription.objects.for_tenant(self.tenant_id).filter(pk__in=subscription_ids)
        return dict(rows.order_by().values_list("pk", "state"))

    def _learn_versions(self, contracts: Iterable[CustomerContract]) -> None:
        wanted = {
            plan.version_id
            for contract in contracts
            for subscription in contract.subscriptions
            for plan in subscription.plans
        } - self._versions.keys()
        if wanted:
            rows = RatePlanVersion.objects.for_tenant(self.tenant_id).filter(pk__in=wanted)
            named = rows.order_by().values_list("pk", "rate_plan_id", "rate_plan__name")
            self._versions |= {pk: (plan_id, name) for pk, plan_id, name in named}

    def _digests(self, customer_ids: Collection[UUID]) -> Mapping[UUID, list[str]]:
        rows = CustomerAlias.objects.for_tenant(self.tenant_id).filter(customer_id__in=customer_ids)
        found = defaultdict(list)
        for customer_id, digest, kind in rows.order_by().values_list(
            "customer_id", "digest", "kind"
        ):
            found[customer_id].append(bytes(digest).hex())
            if kind in CustomerAlias.CREDENTIALS:
                found[customer_id].append(aliases.credential_of(bytes(digest)).hex())
        return found

    def _uses(self, standings: Iterable[Standing], version: Version) -> Mapping[str, Field]:
        """By field, what is used of limited units, in the version of the totals."""
        pairs = {pair for one in standings for pair in _limited(one)}
        fields = (
            use.field(self._units[use.unit_id].aggregation, started=version.started)
            for use in uses_of(pairs)
        )
        return {field.name: field for field in fields}


def _limited(standing: Standing) -> list[Pair]:
    """Each period's units of which somebody may be denied more."""
    return [
        (UUID(span.period), UUID(quota.unit))
        for span in standing.spans
        for quota in span.units.values()
        if quota.is_limited
    ]


def _quota(unit: BillableUnit, terms: Terms, *, is_featured: bool) -> Quota:
    """How much a plan lets through; no limit where every dimension has one of its own."""
    is_capped = terms.has_hard_limit and not terms.dimension_keys
    cap = (terms.bounds[0] if terms.bounds else Decimal(0)) if is_capped else None
    return Quota(
        unit.pk.hex,
        unit.metric,
        cap,
        unit.divide_by.normalize(),
        is_limited=is_featured or cap is not None,
    )


def _is_more(one: Granted, other: Granted) -> bool:
    """Whether a plan has more of a LIMIT than another."""
    if one.limit is None or other.limit is None:
        return one.limit is None and other.limit is not None
    return one.limit > other.limit
