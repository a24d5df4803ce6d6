"""What one process knows of a tenant's catalog, and who counts an event by it."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from aforo.money import ZERO
from aforo.periods import month_start
from aforo.tenancy.models import Tenant
from catalog.conditions import compile_conditions
from catalog.pricing import InvalidPart, InvalidTerms, Terms
from catalog.pricing.dimensions import dimension_of
from catalog.selectors.contracts import (
    CustomerContract,
    PeriodSpan,
    PriceContract,
    SubscriptionContract,
    UnitContract,
    units_of,
)
from catalog.selectors.prices import terms_in_period
from metering.counted_values import UnreadableMetadata
from metering.ingest import contract_cache
from metering.ingest.arrivals import Arrival
from metering.ingest.events import HEARTBEAT, SESSION_SUMMARY, Event, Refusal
from metering.ingest.gates import MAX_AGE, unknown_metric
from metering.ingest.targets import Accepts, Route, Target, Unbilled, fields_of
from metering.proof import microseconds
from metering.selectors.rate_cards import unit_costs_of

MAX_CUSTOMERS = 200_000  # contracts of one tenant held by one process
MAX_ROUTES = 1_000_000  # likewise; senders name customers of heartbeats and metrics as they like
MAX_DIMENSIONS = 200_000  # totals that senders make by what they put into metadata
REJECT = Tenant.UnknownMetric.REJECT
CREATE = Tenant.UnknownMetric.CREATE
SENDER = "\0sender"  # among the fields of an event; no name of the outside holds a nul
AMEND = "AMEND"
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
SINCE = MAX_AGE + timedelta(days=35)  # a period that holds a 90-day-old event ended after this
SHOWN_NAME = 80  # characters of a name that a refusal repeats

Targets = tuple[Target | Unbilled, ...]


class TenantContracts:
    """What one process knows of one tenant's catalog at one version of it."""

    def __init__(self, tenant_id: UUID, version: int, secret: bytes, unknown_metric: str) -> None:
        self.tenant_id = tenant_id
        self.version = version
        self.secret = secret
        self.unknown_metric = unknown_metric
        self.late_policy = ""
        self.since = EVER[1]  # how far back the contracts reach
        self.customers: dict[str, CustomerContract] = {}
        self.routes: dict[tuple[str, str], list[Route]] = {}
        self.units: defaultdict[str, list[tuple[UnitContract, Accepts | None]]] = defaultdict(list)
        for unit in units_of(tenant_id):
            self.units[unit.metric].append((unit, _acceptance(unit)))
        self.costs = unit_costs_of(tenant_id)
        self.terms: dict[object, Terms] = {}
        self.dimensions = 0  # of all targets that are remembered
        self.undefined: set[str] = set()  # metrics that units are to be drafted for

    def treat_unknown_metrics(self, policy: str) -> None:
        """Follow the tenant's policy; routes found under another one are forgotten."""
        if policy != self.unknown_metric:
            self.unknown_metric = policy
            self.routes.clear()

    def load(self, names: Collection[str], now: datetime, oldest: datetime) -> None:
        """Learn the contracts of customers by the names that events gave.

        They reach back to the period of the `oldest` event: backfill has no limit of age.
        """
        since = month_start(now - SINCE)
        if oldest < since:  # by whole years, so that a file that goes back in time loads few times
            since = datetime(oldest.year, 1, 1, tzinfo=UTC)
        missing = [name for name in names if name not in self.customers]
        is_full = len(self.customers) + len(missing) > MAX_CUSTOMERS
        # A sandbox's clock may be set back once: then older periods count again.
        is_full = is_full or self.dimensions > MAX_DIMENSIONS
        if since < self.since or is_full or len(self.routes) > MAX_ROUTES:
            self.customers.clear()
            self.routes.clear()
            self.dimensions = 0
            self.since, missing = since, list(names)
        if missing:
            self.customers |= contract_cache.contracts(
                self.tenant_id, self.version, missing, since=self.since
            )

    def targets(self, arrival: Arrival) -> Targets | Refusal:
        """Who counts this event, or why nobody can say."""
        event, occurred = arrival.event, arrival.occurred
        for route in self.routes.get((event.customerId, event.metricName), ()):
            start, end, targets, has_conditions = route
            if start <= occurred < end:
                if not has_conditions:  # nearly always: no copy, no look at the metadata
                    return targets
                return self._meeting_conditions(route, arrival)
        found = self._found_route(self._name_in(event), event.metricName, occurred)
        if isinstance(found, Refusal):
            return found
        return self._meeting_conditions(found, arrival) if found.has_conditions else found.targets

    def customer_of(self, event: Event) -> UUID | None:
        """Whose event this is; None where nobody goes by its names."""
        customer = self.customers.get(self._name_in(event))
        return customer.customer_id if customer else None

    def _name_in(self, event: Event) -> str:
        """By which name the customer is known: customerId, else the agent that it has."""
        if event.customerId not in self.customers and event.agentId in self.customers:
            return event.agentId
        return event.customerId

    def _found_route(self, name: str, metric: str, occurred: datetime) -> Route | Refusal:
        """The route, which is remembered; a second look finds those of agents."""
        routes = self.routes.get((name, metric), ())
        found = next((one for one in routes if one.start <= occurred < one.end), None)
        route = found or self._route(name, metric, occurred)
        if found is None and isinstance(route, Route):
            self.routes.setdefault((name, metric), []).append(route)
        return route

    def _meeting_conditions(self, route: Route, arrival: Arrival) -> Targets | Refusal:
        try:
            fields = fields_of(arrival)
        except UnreadableMetadata as error:
            return Refusal("INVALID_EVENT", str(error))
        named = {**fields, SENDER: arrival.batch.sender}
        met = (target for target in route.targets if not target.accepts or target.accepts(named))
        targets = tuple(met)
        for target in targets:
            flaw = _flaw(target, fields) if isinstance(target, Target) else None
            if flaw is not None:
                return flaw
        if not targets:
            return (self._unbilled(self._name_in(arrival.event)),)
        return tuple(self._of_dimension(target, fields) for target in targets)

    def _of_dimension(
        self, target: Target | Unbilled, fields: Mapping[str, object]
    ) -> Target | Unbilled:
        keys = target.terms.dimension_keys if isinstance(target, Target) else ()
        if isinstance(target, Unbilled) or not keys:
            return target
        dimension = dimension_of(keys, fields)
        found = target.by_dimension.get(dimension)
        if found is None:
            found = target.of_dimension(dimension)
            self.dimensions += 1
        return found

    def _unbilled(self, name: str) -> Unbilled:
        customer = self.customers.get(name)
        return Unbilled(self.tenant_id, customer.customer_id if customer else None)

    def _route(self, name: str, metric: str, occurred: datetime) -> Route | Refusal:
        # Liveness of a session, under whatever customer name; its sum, unless a unit counts it.
        if metric == HEARTBEAT or (metric == SESSION_SUMMARY and metric not in self.units):
            return Route(*EVER, (self._unbilled(name),), has_conditions=False)
        if metric not in self.units and self.unknown_metric == REJECT:
            return unknown_metric(metric)
        customer = self.customers.get(name)
        if customer is None:
            return Refusal("UNKNOWN_CUSTOMER", f"customerId {shown(name)} is no customer here")
        for subscription in customer.subscriptions:
            period = _period_at(subscription, occurred)
            if period is not None:
                try:
                    return self._priced(customer, subscription, period, metric)
                except InvalidTerms as error:
                    return Refusal("UNPRICEABLE", f"the terms of {metric!r} do not hold: {error}")
        return _without_period(customer, occurred)

    def _priced(
        self,
        customer: CustomerContract,
        subscription: SubscriptionContract,
        period: PeriodSpan,
        metric: str,
    ) -> Route:
        """A target per unit of the metric and plan version that prices it; unbilled where none."""
        of = (self.tenant_id, customer.customer_id, subscription.id)
        targets: list[Target | Unbilled] = []
        prices = subscription.prices_in(period)
        for unit, accepts in self.units.get(metric, ()):
            targets += [
                Target(
                    *of,
                    price.version_id,
                    period.id,
                    unit,
                    self._terms(subscription, period, price),
                    accepts,
                    span=(microseconds(period.start), microseconds(period.end)),
                    costs=self.costs.get((unit.unit_id, subscription.currency)),
                    customer=customer.external_id,
                )
                for price in prices
                if price.unit_id == unit.unit_id
            ] or [Unbilled(*of, unit.unit_id, accepts, unit.product_type)]
        if not targets:
            targets = [Unbilled(*of)]
            if self.unknown_metric == CREATE:
                self.undefined.add(metric)
        end = min(period.end, subscription.end) if subscription.end else period.end
        looks_inside = any(
            target.accepts or (isinstance(target, Target) and target.looks_inside)
            for target in targets
        )
        start = max(period.start, subscription.start)
        return Route(start, end, tuple(targets), has_conditions=looks_inside)

    def _terms(
        self, subscription: SubscriptionContract, period: PeriodSpan, price: PriceContract
    ) -> Terms:
        """The terms of a unit in a period, parsed once: subscriptions of one version share them."""
        agreed = subscription.agreed_in(period, price.unit_id)
        wire_of = agreed.phase_id if agreed else subscription.currency
        key = (price.version_id, price.unit_id, wire_of, period.is_trial, period.share)
        if key not in self.terms:
            self.terms[key] = terms_in_period(
                price.terms,
                is_trial=period.is_trial,
                agreed_wire=agreed.terms if agreed else None,
                agreed_allowance=agreed.included_free if agreed else None,
                share=period.share,
            )
        return self.terms[key]


def _flaw(target: Target, fields: Mapping[str, object]) -> Refusal | None:
    """What an event lacks that this unit counts or prices, if anything."""
    name = target.unique_field
    if name is not None and fields.get(name) is None:
        return Refusal("MISSING_FIELD", f"metadata has no {name!r}, which is counted")
    if not target.terms.part_keys:
        return None
    try:
        target.terms.part_of(ZERO, fields)
    except InvalidPart as error:
        is_missing = fields.get(error.field) is None
        return Refusal("MISSING_FIELD" if is_missing else "INVALID_EVENT", f"metadata.{error}")
    return None


def _acceptance(unit: UnitContract) -> Accepts | None:
    """Which events it counts, by their fields and sender; None: all of its metric."""
    meets = compile_conditions(unit.conditions) if unit.conditions else None
    if not unit.sources:
        return meets
    senders = frozenset(unit.sources) | {AMEND}  # an amendment is decided by an operator

    def accepts(fields: Mapping[str, object]) -> bool:
        return fields[SENDER] in senders and (meets is None or meets(fields))

    return accepts


def shown(name: str) -> str:
    """A customer's name as it may be told and stored: short."""
    return repr(name if len(name) <= SHOWN_NAME else name[: SHOWN_NAME - 3] + "...")


def _period_at(subscription: SubscriptionContract, occurred: datetime) -> PeriodSpan | None:
    if occurred < subscription.start or (subscription.end and occurred >= subscription.end):
        return None
    for period in subscription.periods:
        if period.start <= occurred < period.end:
            return period
    return None


def _without_period(customer: CustomerContract, occurred: datetime) -> Refusal:
    """Why no subscription of theirs takes an event of that moment."""
    when = occurred.isoformat()
    name = customer.external_id
    if any(_is_paused_at(one, occurred) for one in customer.subscriptions):
        return Refusal(
            "SUBSCRIPTION_PAUSED", f"the subscription of customer {name!r} was paused at {when}"
        )
    return Refusal("NO_SUBSCRIPTION", f"customer {name!r} has no subscription in force at {when}")


def _is_paused_at(subscription: SubscriptionContract, occurred: datetime) -> bool:
    """Whether it is in force then, but in none of its periods: between two, or paused since."""
    if occurred < subscription.start or (subscription.end and occurred >= subscription.end):
        return False
    if not any(period.end <= occurred for period in subscription.periods):
        return False
    goes_on = any(period.start > occurred for period in subscription.periods)
    return goes_on or subscription.is_paused
