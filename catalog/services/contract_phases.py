"""Which phase of which contract a period is billed by: pinned before it begins, never after."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from aforo.tenancy.services.tenants import bump_catalog
from catalog.models import Contract, ContractPhase, Subscription, SubscriptionPeriod

# Doors take events that happen within ten minutes; twice that is room for a drain on its way. A
# period that begins sooner may have been used already.
_FORETOLD = timedelta(minutes=10)
_IN_FORCE = (Contract.Status.ACTIVE, Contract.Status.ENDED)  # one that has ended held its term


def pin_phases(rows: Sequence[SubscriptionPeriod]) -> None:
    """Set `contract_phase_id` of periods of one tenant that are not begun, or not stored yet.

    A period is billed by the phase that holds its start: of its subscription's own contract before
    one for all of its customer's, and only in its currency; None without one. Two statements
    however many rows there are; the caller saves them.
    """
    if not rows:
        return
    tenant_id = rows[0].tenant_id
    subscriptions = _subscriptions(tenant_id, {row.subscription_id for row in rows})
    customers = {customer_id for customer_id, _ in subscriptions.values()}
    phases = _phases(tenant_id, customers)
    for row in rows:
        customer_id, currency = subscriptions[row.subscription_id]
        phase = _phase_of(row, currency, phases[customer_id])
        row.contract_phase_id = phase.pk if phase else None


def pin_unbegun(*, contract: Contract, now: datetime) -> int:
    """Pin anew the stored periods that `contract` may bear on and that nobody has used yet.

    Returns how many have another phase now. Periods that have begun, or begin within ten minutes,
    keep theirs: their usage may be priced already.
    """
    rows = list(
        SubscriptionPeriod.objects.for_tenant(contract.tenant_id)
        .filter(subscription__in=_locked_subscriptions(contract), start_at__gt=now + _FORETOLD)
        .order_by("pk")
    )
    before = [row.contract_phase_id for row in rows]
    pin_phases(rows)
    changed = [row for row, was in zip(rows, before, strict=True) if row.contract_phase_id != was]
    SubscriptionPeriod.objects.for_tenant(contract.tenant_id).bulk_update(
        changed, ["contract_phase"]
    )
    bump_catalog(contract.tenant_id)
    return len(changed)


def _locked_subscriptions(contract: Contract) -> list[UUID]:
    """Those it is for. Whoever stores their periods meanwhile waits, and then sees the contract."""
    rows = Subscription.objects.for_tenant(contract.tenant_id).filter(customer=contract.customer_id)
    if contract.subscription_id is not None:
        rows = rows.filter(pk=contract.subscription_id)
    locked = rows.order_by("pk").select_for_update(no_key=True)
    return list(locked.values_list("pk", flat=True))


def _subscriptions(tenant_id: UUID, subscription_ids: set[UUID]) -> Mapping[UUID, tuple[UUID, str]]:
    """The customer and the currency of each subscription."""
    rows = Subscription.objects.for_tenant(tenant_id).filter(pk__in=subscription_ids)
    return {row[0]: row[1:] for row in rows.values_list("pk", "customer_id", "currency")}


def _phases(tenant_id: UUID, customer_ids: set[UUID]) -> Mapping[UUID, list[ContractPhase]]:
    """The phases in force of each customer, those of single subscriptions first."""
    rows = (
        ContractPhase.objects.for_tenant(tenant_id)
        .filter(contract__customer_id__in=customer_ids, contract__status__in=_IN_FORCE)
        .select_related("contract")
        .order_by("start_at", "pk")
    )
    found = defaultdict(list)
    for phase in sorted(rows, key=lambda phase: phase.contract.subscription_id is None):
        found[phase.contract.customer_id].append(phase)
    return found


def _phase_of(
    row: SubscriptionPeriod, currency: str, phases: Sequence[ContractPhase]
) -> ContractPhase | None:
    return next(
        (
            phase
            for phase in phases
            if phase.contract.currency == currency
            and phase.contract.subscription_id in {None, row.subscription_id}
            and phase.start_at <= row.start_at < phase.end_at
        ),
        None,
    )
