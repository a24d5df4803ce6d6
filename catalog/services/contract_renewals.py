"""The end of contracts: renewed a week before, ended when it has come, on each tenant's clock."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from aforo.errors import AforoError
from aforo.money import EXACT, divide, round_to_minor
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Contract
from catalog.months import months_after, months_in
from catalog.services import changes, contract_prices, contract_terms, contracts

# Terms are pinned to a period before it begins: Beat may rest for days and no period goes without.
AHEAD = timedelta(days=7)
_BEAT = Actor.system("contract renewals")
_LOG = structlog.get_logger(__name__)


def sweep_contracts(*, now: datetime) -> int:
    """Renew and end what is due on the clock of each tenant; the number of contracts changed."""
    clock_now = ExpressionWrapper(
        Coalesce(
            F("tenant__clock_frozen_at"),
            Value(now, output_field=DateTimeField()) + F("tenant__clock_offset"),
        ),
        output_field=DateTimeField(),
    )
    rows = Contract.objects.alias(clock_now=clock_now)  # any tenant: each on its own clock
    renewable, over = _due(rows, F("clock_now") + AHEAD, F("clock_now"))
    changed = sum(_renewed(row, now=clock.at(row.tenant, now)) for row in renewable)
    return changed + sum(_ended(row, now=clock.at(row.tenant, now)) for row in over)


def renew_until(tenant: Tenant, until: datetime, *, now: datetime) -> int:
    """Renew a tenant's contracts as far as `until`, one after the other.

    To be called before the clock of a sandbox advances, when the periods are stored.
    """
    renewed = 0
    while True:
        rows = Contract.objects.for_tenant(tenant)
        renewable, _ = _due(rows, until + AHEAD, until)
        done = sum(_renewed(row, now=now) for row in renewable)
        if not done:
            return renewed
        renewed += done


@transaction.atomic
def renew_contract(*, contract: Contract, actor: Actor, now: datetime) -> Contract | None:
    """Follow a contract by one with the terms of its last phase, in force at once; once.

    The spends over the term are those of so many months. None when it is not to be renewed. Raises
    Conflict where the customer has agreed something else for that time.
    """
    locked = contracts.locked_contract(contract)
    successor = Contract.objects.for_tenant(locked.tenant_id).filter(renewed_from=locked).first()
    if successor is not None or not _is_to_be_renewed(locked):
        return successor
    zone, maximum = contracts.zone_of(locked), locked.maximum_spend
    successor = Contract.objects.create(
        tenant_id=locked.tenant_id,
        customer=locked.customer,
        subscription=locked.subscription,
        name=locked.name,
        currency=locked.currency,
        start_at=locked.end_at,
        end_at=months_after(locked.end_at, locked.renewal_months, zone),
        minimum_spend=_of_months(locked, locked.minimum_spend),
        maximum_spend=None if maximum is None else _of_months(locked, maximum),
        auto_renew=True,
        renewal_months=locked.renewal_months,
        renewed_from=locked,
        created_at=now,
    )
    contract_prices.copy_phase(contract_terms.phases_of(locked)[-1], to=successor)
    contracts.put_in_force(successor, now=now)
    after = {"renewed_from": str(locked.pk), "end_at": successor.end_at}
    changes.record(successor, action="CONTRACT_RENEWED", actor=actor, now=now, after=after)
    contracts.tell("contract.renewed", successor, now=now)
    return successor


@transaction.atomic
def end_contract(*, contract: Contract, actor: Actor, now: datetime) -> Contract:
    """Note that the term of a contract is over; again, or before that, changes nothing."""
    locked = contracts.locked_contract(contract)
    if locked.status == Contract.Status.ACTIVE and locked.end_at <= now:
        contracts.close(locked, status=Contract.Status.ENDED, actor=actor, now=now)
    return locked


def _due(
    rows: QuerySet[Contract], renew_before: object, ended_at: object
) -> tuple[Sequence[Contract], Sequence[Contract]]:
    """Those to be renewed, and those whose term is over."""
    active = rows.filter(status=Contract.Status.ACTIVE).select_related("tenant").order_by("end_at")
    renewable = active.filter(Q(renewal__isnull=True), auto_renew=True, end_at__lte=renew_before)
    return list(renewable), list(active.filter(end_at__lte=ended_at))


def _renewed(contract: Contract, *, now: datetime) -> bool:
    """One that cannot be renewed keeps no other from it: it ends, and the log says why."""
    try:
        return renew_contract(contract=contract, actor=_BEAT, now=now) is not None
    except AforoError as refusal:
        _LOG.warning("contract_not_renewed", contract=str(contract.pk), reason=refusal.detail)
        return False


def _ended(contract: Contract, *, now: datetime) -> bool:
    ended = end_contract(contract=contract, actor=_BEAT, now=now)
    return ended.status == Contract.Status.ENDED


def _is_to_be_renewed(contract: Contract) -> bool:
    return contract.status == Contract.Status.ACTIVE and contract.auto_renew


def _of_months(contract: Contract, spend: Decimal) -> Decimal:
    """A spend over the term, as much of it as falls to the months of the renewal."""
    months = months_in(contract.start_at, contract.end_at, contracts.zone_of(contract))
    if months == contract.renewal_months:
        return spend
    share = divide(EXACT.multiply(spend, Decimal(contract.renewal_months)), Decimal(months))
    return round_to_minor(share, contract.currency)
