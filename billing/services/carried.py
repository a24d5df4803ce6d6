"""What an invoice leaves to later ones: grants, used-up grants, spent coupons, levels that go on.

Written in the transaction that bills, whose totals, and those they go on in, are locked already.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.ids import new_id
from aforo.money import EXACT, ZERO
from billing.models import CouponUse, Invoice, RolloverGrant, RolloverUse
from billing.pipeline import UsageFact
from billing.services.advances import next_periods
from billing.services.contracts import Contract, Price, contracts_for
from billing.services.heirs import Heirs, heirs_of
from billing.services.new_invoices import NewInvoice
from billing.services.usage_facts import moves_of
from catalog.models import SubscriptionPeriod
from metering.services.carrying import Carry, Move, carry_over
from metering.services.passing_on import pass_on
from metering.services.watermarks import LockedTotal, lock_totals

Kind = Invoice.Kind


def write_carried(invoices: Sequence[NewInvoice], *, now: datetime) -> None:
    """Write what these new drafts leave over, used up and spent, and begin the next periods.

    Coupons are spent by whatever invoice takes them off but those of usage so far, which the
    invoice of the period takes off again; units only by that one. Fourteen statements at most.
    """
    CouponUse.objects.bulk_create(_coupon_uses(invoices))  # any tenant: of their invoices
    billed = [one for one in invoices if one.kind == Kind.PERIOD]
    RolloverUse.objects.bulk_create(_rollover_uses(billed))  # any tenant: likewise
    RolloverGrant.objects.bulk_create(_grants(billed, now=now))  # any tenant: likewise
    pass_on(dict(units for one in billed for units in one.result.draft.passed_on), now=now)
    going_on = [one for one in billed if any(fact.goes_on for fact in one.facts.usage)]
    if going_on:
        carry_over(_carries(going_on), now=now)


def _coupon_uses(invoices: Sequence[NewInvoice]) -> Iterator[CouponUse]:
    for one in invoices:
        if one.kind != Kind.PROGRESS:
            for redemption_id, amount in one.result.draft.redeemed:
                yield CouponUse(
                    tenant_id=one.tenant_id,
                    redemption_id=redemption_id,
                    invoice_id=one.id,
                    amount=amount,
                )


def _rollover_uses(invoices: Sequence[NewInvoice]) -> Iterator[RolloverUse]:
    for one in invoices:
        for grant_id, units in one.result.draft.used:
            yield RolloverUse(
                tenant_id=one.tenant_id, grant_id=grant_id, invoice_id=one.id, units=units
            )


def _grants(invoices: Sequence[NewInvoice], *, now: datetime) -> Iterator[RolloverGrant]:
    """One per unit and dimension: of two plans that leave over the same unit, of both together."""
    for one in invoices:
        facts = {fact.running_total_id: fact for fact in one.facts.usage}
        rows: dict[tuple[UUID, str], RolloverGrant] = {}
        for total_id, units in one.result.draft.granted:
            fact = facts[total_id]
            row = rows.setdefault((fact.unit_id, fact.dimension), _grant(one, fact, now=now))
            row.units = EXACT.add(row.units, units)
        yield from rows.values()


def _grant(new: NewInvoice, fact: UsageFact, *, now: datetime) -> RolloverGrant:
    assert fact.expires_at is not None  # noqa: S101 - else nothing is granted
    return RolloverGrant(
        id=new_id(),
        tenant_id=new.tenant_id,
        subscription_id=new.period.subscription_id,
        unit_id=fact.unit_id,
        dimension=fact.dimension,
        period_id=new.period.pk,
        units=ZERO,
        expires_at=fact.expires_at,
        created_at=now,
    )


@dataclass(frozen=True, slots=True)
class _Next:
    """Where the totals of some billed periods go on."""

    following: Mapping[UUID, SubscriptionPeriod]
    contracts: Mapping[UUID, Contract]
    totals: Mapping[tuple[UUID, UUID, UUID, str], LockedTotal]
    heirs: Heirs

    def price(self, move: Move) -> Price:
        prices = self.contracts[move.next_period_id].prices
        key = (move.next_version_id, move.unit_id)
        return next(one for one in prices if (one.version_id, one.unit_id) == key)


def _carries(invoices: Sequence[NewInvoice]) -> list[Carry]:
    periods = [one.period for one in invoices]
    following = next_periods(periods[0].tenant_id, periods)
    contracts = contracts_for(periods[0].tenant_id, [*periods, *following.values()])
    locked = lock_totals({one.pk for one in periods} | {one.pk for one in following.values()})
    known = {
        (total.period_id, total.plan_version_id, total.unit_id, total.dimension): total
        for total in locked
    }
    moves = moves_of(periods, contracts=contracts, following=following)
    coming = _Next(following, contracts, known, heirs_of(moves, locked, contracts))
    return [carry for one in invoices for carry in _carries_of(one, coming)]


def _carries_of(new: NewInvoice, coming: _Next) -> Iterator[Carry]:
    """One per next total. The heir of a unit and dimension takes all that is passed on of it."""
    moves = moves_of([new.period], contracts=coming.contracts, following=coming.following)
    by_unit = {(move.version_id, move.unit_id): move for move in moves}
    passed_on = dict(new.result.draft.passed_on)
    found: dict[int, tuple[LockedTotal, LockedTotal, Price]] = {}
    units: defaultdict[int, Decimal] = defaultdict(lambda: ZERO)
    for fact in new.facts.usage:
        move = by_unit.get((fact.version_id, fact.unit_id))
        if move is None:
            continue
        owned = (fact.unit_id, fact.dimension)
        heir = coming.heirs.get((new.period.pk, *owned))
        if heir is not None:
            left = passed_on.get(fact.running_total_id, ZERO)
            units[heir.total_id] = EXACT.add(units[heir.total_id], left)
        source = coming.totals[new.period.pk, fact.version_id, *owned]
        target = coming.totals.get((move.next_period_id, move.next_version_id, *owned))
        if target is not None:
            found.setdefault(target.id, (source, target, coming.price(move)))
    for total_id, (source, target, price) in sorted(found.items()):
        yield Carry(source, target, price.source, units[total_id])
