"""Usage as facts: running totals, locked, made exact, and what their price goes by."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from billing.models import Invoice
from billing.pipeline import StageFailed, UsageFact
from billing.services.contracts import READING, Contract, Price
from billing.services.heirs import Heir, Heirs, heirs_of
from billing.services.rollover_facts import Expiries, Grants
from catalog.models import SubscriptionPeriod
from catalog.selectors.prices import PeriodPrice
from metering.models import RunningTotal
from metering.services.carrying import Move
from metering.services.estimates import settle_estimates
from metering.services.missing_totals import ensure_totals
from metering.services.watermarks import (
    LockedTotal,
    WantedTotal,
    keep_dimensions,
    late_totals_of,
    lock_totals,
)

Own = Mapping[UUID, Sequence[LockedTotal]]
"""Locked totals by period."""


def locked_totals(
    tenant_id: UUID,
    periods: Sequence[SubscriptionPeriod],
    adjusted: Sequence[SubscriptionPeriod],
    *,
    contracts: Mapping[UUID, Contract],
    following: Mapping[UUID, SubscriptionPeriod],
    now: datetime,
) -> tuple[Own, Sequence[LockedTotal], Heirs]:
    """The totals of `periods`, made where no event has and made exact; late ones of others; heirs.

    All are locked by one statement in the order of their ids, and with them those totals of the
    next periods that begin with something of these.
    """
    moves = list(moves_of(periods, contracts=contracts, following=following))
    locked, late = lock_usage(tenant_id, periods, adjusted, moves=moves, contracts=contracts)
    own_ids = {period.id for period in periods}
    mine = [total for total in locked if total.period_id in own_ids]
    found: defaultdict[UUID, list[LockedTotal]] = defaultdict(list)
    for total in settle_estimates(mine, prices=_sources(mine, contracts), now=now):
        found[total.period_id].append(total)
    others = [one for one in locked if one.period_id not in own_ids and one.id in late]
    return found, others, heirs_of(moves, locked, contracts)


def lock_usage(
    tenant_id: UUID,
    periods: Sequence[SubscriptionPeriod],
    adjusted: Sequence[SubscriptionPeriod],
    *,
    moves: Sequence[Move],
    contracts: Mapping[UUID, Contract],
) -> tuple[Sequence[LockedTotal], Collection[int]]:
    """Make what is missing and lock all that billing these needs; it, and the ids that are late.

    One order, whoever does it: dimensions of the periods, missing totals, then totals by id. Again
    for some of them in the same transaction neither makes nor waits for anything.
    """
    own_ids = {period.id for period in periods}
    if own_ids:
        keep_dimensions(own_ids)
    ensure_totals(
        (
            WantedTotal(
                period.id, price.version_id, price.unit_id, period.subscription_id, tenant_id
            )
            for period in periods
            for price in contracts[period.id].prices
        ),
        moves,
    )
    subscription_ids = {period.subscription_id for period in (*periods, *adjusted)}
    late_ids = {
        *late_totals_of(tenant_id, subscription_ids),
        *_late_dimensions(tenant_id, subscription_ids),
    }
    next_ids = {move.next_period_id for move in moves}
    return lock_totals(own_ids | next_ids, more_ids=late_ids), late_ids


def _late_dimensions(tenant_id: UUID, subscription_ids: Collection[UUID]) -> list[int]:
    """Totals of billed periods that late events have made: of a dimension that nobody had billed.

    They have no watermark to be late of, so nothing but the period's invoice tells that they are.
    """
    standing = Invoice.objects.for_tenant(tenant_id).filter(
        subscription_id__in=subscription_ids, kind=Invoice.Kind.PERIOD
    )
    totals = RunningTotal.objects.filter(  # any tenant: filtered by id
        tenant_id=tenant_id,
        subscription_id__in=subscription_ids,
        billed_position=None,
        position__gt=0,
        period_id__in=standing.exclude(status=Invoice.Status.VOID).values("period_id"),
    )
    return list(totals.exclude(dimension="").values_list("id", flat=True))


def moves_of(
    periods: Sequence[SubscriptionPeriod],
    *,
    contracts: Mapping[UUID, Contract],
    following: Mapping[UUID, SubscriptionPeriod],
) -> Iterator[Move]:
    """Which units' usage goes on in the next period: under the same version, else another one."""
    for period in periods:
        next_period = following.get(period.id)
        if next_period is None:
            continue
        coming = contracts[next_period.pk].prices
        for price in contracts[period.id].prices:
            heirs = [one.version_id for one in coming if one.unit_id == price.unit_id]
            if heirs and goes_on(price):
                same = price.version_id in heirs
                heir = price.version_id if same else heirs[0]
                yield Move(period.id, price.version_id, price.unit_id, next_period.pk, heir)


def goes_on(price: Price) -> bool:
    """Whether the next period may begin with something of this one."""
    return bool(price.rollover_periods or price.source.row.unit.recurring)


def _sources(
    totals: Sequence[LockedTotal], contracts: Mapping[UUID, Contract]
) -> dict[int, PeriodPrice]:
    found = {}
    for total in totals:
        for price in contracts[total.period_id].prices:
            if (price.version_id, price.unit_id) == (total.plan_version_id, total.unit_id):
                found[total.id] = price.source
    return found


def usage_facts(
    period: SubscriptionPeriod,
    totals: Sequence[LockedTotal],
    *,
    contract: Contract,
    paid: Collection[tuple[UUID, UUID | None]],
    grants: Grants,
    heirs: Heirs,
    following: SubscriptionPeriod | None,
    expiries: Expiries,
) -> tuple[UsageFact, ...]:
    """Each total as a fact. `paid` are the flat rates that were, by version and unit.

    What none of `heirs` takes is not left over, nor what has expired when `following` begins.
    """
    prices = {(price.version_id, price.unit_id): price for price in contract.prices}
    facts, granted = [], set()
    for total in sorted(totals, key=lambda one: (not one.rollover, one.id)):
        fact = _usage(
            period,
            total,
            price=_price(total, prices),
            is_paid=(total.plan_version_id, total.unit_id) in paid,
            heir=heirs.get((period.id, total.unit_id, total.dimension)),
            following=following,
            expiries=expiries,
        )
        owned = (total.unit_id, total.dimension)
        if owned not in granted:  # of two plans that price it, one may use what was left over
            granted.add(owned)
            fact = replace(fact, grants=grants.of(period, *owned, received=total.rollover))
        facts.append(fact)
    return tuple(facts)


def _price(total: LockedTotal, prices: Mapping[tuple[UUID, UUID], Price]) -> Price:
    price = prices.get((total.plan_version_id, total.unit_id))
    if price is None:
        reason = f"running total {total.id} counts a unit that no plan of the period prices"
        raise StageFailed(READING, ValueError(reason))
    return price


def _usage(
    period: SubscriptionPeriod,
    total: LockedTotal,
    *,
    price: Price,
    is_paid: bool,
    heir: Heir | None,
    following: SubscriptionPeriod | None,
    expiries: Expiries,
) -> UsageFact:
    usage = total.usage
    expires_at = expiries.after(period, price.rollover_periods) if price.rollover_periods else None
    return UsageFact(
        running_total_id=total.id,
        version_id=total.plan_version_id,
        unit_id=total.unit_id,
        unit_name=price.unit_name,
        unit_label=price.unit_label,
        dimension=total.dimension,
        quantity=usage.quantity,
        event_count=usage.count,
        position=total.position,
        digest=bytes(total.digest),
        revenue=EXACT.add(total.revenue, total.adjustments),
        terms=price.terms.of_dimension(total.dimension),
        tax_code=price.tax_code,
        parts=usage.parts,
        rollover=total.rollover,
        expires_at=expires_at if heir and _is_usable(expires_at, following) else None,
        rollover_cap=_cap(price, heir),
        is_paid=is_paid,
        goes_on=following is not None and goes_on(price),
    )


def _is_usable(expires_at: datetime | None, following: SubscriptionPeriod | None) -> bool:
    """Whether the next period begins before that: after a long pause it may not."""
    return expires_at is not None and following is not None and following.start_at < expires_at


def _cap(price: Price, heir: Heir | None) -> Decimal | None:
    """Of all that goes on, by the terms that leave it over and by those that take it."""
    if heir is None:
        return ZERO
    return min((cap for cap in (price.rollover_cap, heir.cap) if cap is not None), default=None)
