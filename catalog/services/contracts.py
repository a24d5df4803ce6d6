"""Contracts: drafted, agreed once, and from then on never changed but ended, or renewed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from aforo.errors import Conflict
from aforo.money import ZERO
from aforo.outbox.services import publish
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Contract, ContractPhase, Customer, Subscription
from catalog.services import changes, contract_prices, contract_terms
from catalog.services.contract_checks import require_alone, require_sound
from catalog.services.contract_phases import pin_unbegun
from catalog.services.contract_prices import AgreedPriceDraft
from catalog.services.contract_terms import PhaseDraft

DRAFT_EDITABLE = frozenset(
    {
        "name",
        "currency",
        "start_at",
        "end_at",
        "minimum_spend",
        "maximum_spend",
        "auto_renew",
        "renewal_months",
    }
)
AGREED_EDITABLE = frozenset({"name", "auto_renew", "renewal_months"})
_TERM = frozenset({"start_at", "end_at"})


@transaction.atomic
def create_contract(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    customer: Customer,
    name: str,
    currency: str,
    start_at: datetime,
    end_at: datetime,
    subscription: Subscription | None = None,
    minimum_spend: Decimal = ZERO,
    maximum_spend: Decimal | None = None,
    auto_renew: bool = False,
    renewal_months: int = 12,
    phases: Sequence[PhaseDraft] = (),
) -> Contract:
    """A draft of [start_at, end_at) for all that `customer` subscribes to, or for one of it.

    Spends are over the whole term; those of `phases` are per full billing period. Without phases
    there is one, over the whole term.
    """
    contract = Contract(
        tenant=tenant,
        customer=customer,
        subscription=subscription,
        name=name,
        currency=currency,
        start_at=start_at,
        end_at=end_at,
        minimum_spend=minimum_spend,
        maximum_spend=maximum_spend,
        auto_renew=auto_renew,
        renewal_months=renewal_months,
        created_at=now,
    )
    changes.require_own(tenant, customer, *([subscription] if subscription else []))
    require_sound(contract)
    contract.save(force_insert=True)
    contract_terms.replace_phases(contract, phases, zone=zone_of(contract))
    after = _shown(contract) | {"customer": customer.external_id}
    changes.record(contract, action="CONTRACT_CREATED", actor=actor, now=now, after=after)
    return contract


@transaction.atomic
def edit_contract(
    *,
    contract: Contract,
    edits: Mapping[str, object],
    actor: Actor,
    now: datetime,
    phases: Sequence[PhaseDraft] | None = None,
) -> Contract:
    """Change a draft, or what may be changed of an agreed one: its name, whether it is renewed.

    Phases that are not said anew follow the term, the first its start and the last its end.
    """
    locked = locked_contract(contract)
    is_draft = locked.status == Contract.Status.DRAFT
    fixed = sorted(edits.keys() - (DRAFT_EDITABLE if is_draft else AGREED_EDITABLE))
    if fixed or (phases is not None and not is_draft):
        raise Conflict(
            f"contract '{locked}' is {locked.status}:"
            f" {on_the_wire(fixed[0]) if fixed else 'phases'} cannot be changed"
        )
    before = _shown(locked)
    for field, value in edits.items():
        setattr(locked, field, value)
    require_sound(locked)
    locked.save(update_fields=[*edits])
    if phases is not None:
        contract_terms.replace_phases(locked, phases, zone=zone_of(locked))
    elif edits.keys() & _TERM:
        contract_terms.stretch_phases(locked)
    after = dict.fromkeys(before) | _shown(locked)
    changes.record(
        locked, action="CONTRACT_UPDATED", actor=actor, now=now, before=before, after=after
    )
    return locked


@transaction.atomic
def price_phase(
    *, phase: ContractPhase, prices: Sequence[AgreedPriceDraft], actor: Actor, now: datetime
) -> Contract:
    """Make `prices` those of one phase of a draft; Conflict when the contract is agreed."""
    locked = locked_contract(phase.contract)
    if locked.status != Contract.Status.DRAFT:
        raise Conflict(f"contract '{locked}' is {locked.status}: prices cannot be changed")
    before = _shown(locked)
    contract_prices.replace_prices(phase, prices)
    after = dict.fromkeys(before) | _shown(locked)
    changes.record(
        locked, action="CONTRACT_UPDATED", actor=actor, now=now, before=before, after=after
    )
    return locked


@transaction.atomic
def activate_contract(*, contract: Contract, actor: Actor, now: datetime) -> Contract:
    """Agree a draft, once: a second caller waits and gets what the first one agreed.

    Its terms hold for billing periods that begin within its term and later than now: those that
    have begun keep theirs. Conflict when another contract in force holds the same subscriptions in
    the same currency at that time.
    """
    locked = locked_contract(contract)
    if locked.status == Contract.Status.ACTIVE:
        return locked
    if locked.status != Contract.Status.DRAFT:
        raise Conflict(f"contract '{locked}' is {locked.status}: only a draft is activated")
    if locked.end_at <= now:
        raise changes.refused("endAt", "IN_THE_PAST", "the term is over already")
    contract_terms.require_sound_phases(locked)
    contract_prices.settle_prices(locked)
    put_in_force(locked, now=now)
    after = _shown(locked)
    changes.record(locked, action="CONTRACT_ACTIVATED", actor=actor, now=now, after=after)
    tell("contract.activated", locked, now=now)
    return locked


@transaction.atomic
def terminate_contract(
    *, contract: Contract, actor: Actor, now: datetime, reason: str = ""
) -> Contract:
    """Give up a contract before its end, or a draft; again changes nothing.

    Billing periods that have begun keep its terms, those to come are billed by what else is in
    force. A minimum over the whole term is asked for no more.
    """
    locked = locked_contract(contract)
    if locked.status == Contract.Status.TERMINATED:
        return locked
    if locked.status == Contract.Status.ENDED:
        raise Conflict(f"contract '{locked}' has ended: there is nothing left to terminate")
    was_in_force = locked.status == Contract.Status.ACTIVE
    close(locked, status=Contract.Status.TERMINATED, actor=actor, now=now, reason=reason)
    if was_in_force:
        pin_unbegun(contract=locked, now=now)
    return locked


def put_in_force(locked: Contract, *, now: datetime) -> None:
    """Make a locked draft ACTIVE and pin the periods it holds; Conflict where another does."""
    require_alone(locked)
    locked.status = Contract.Status.ACTIVE
    locked.activated_at = now
    locked.save(update_fields=["status", "activated_at"])
    pin_unbegun(contract=locked, now=now)


def close(
    locked: Contract, *, status: Contract.Status, actor: Actor, now: datetime, reason: str = ""
) -> None:
    """Give a locked contract its last status; tell it, if it was more than a draft."""
    before = changes.state_of(locked, ("status",))
    locked.status = status
    locked.save(update_fields=["status"])
    changes.record(
        locked,
        action=f"CONTRACT_{status}",
        actor=actor,
        now=now,
        before=before,
        after=changes.state_of(locked, ("status",)),
        reason=reason,
    )
    if before["status"] != Contract.Status.DRAFT:
        tell("contract.ended", locked, now=now)


def locked_contract(contract: Contract) -> Contract:
    """The row under lock, after its customer's: nobody agrees or subscribes in between."""
    tenant_id = contract.tenant_id
    customers = Customer.objects.for_tenant(tenant_id).select_for_update(no_key=True)
    customer = customers.get(pk=contract.customer_id)
    rows = Contract.objects.for_tenant(tenant_id).select_related("tenant", "subscription")
    locked: Contract = rows.select_for_update(of=("self",)).get(pk=contract.pk)
    locked.customer = customer
    return locked


def zone_of(contract: Contract) -> str:
    """Where its months are counted: as its subscription's periods, or as the tenant's clock."""
    return (contract.subscription or contract.tenant).time_zone


def tell(fact: str, contract: Contract, *, now: datetime) -> None:
    """Publish a fact about a contract."""
    publish(
        tenant_id=contract.tenant_id,
        fact=fact,
        subject=contract.pk,
        payload={
            "contractId": str(contract.pk),
            "name": contract.name,
            "customerId": contract.customer.external_id,
            "subscriptionId": str(contract.subscription_id) if contract.subscription_id else None,
            "status": contract.status,
            "startAt": contract.start_at.isoformat(),
            "endAt": contract.end_at.isoformat(),
            "renewedFrom": str(contract.renewed_from_id) if contract.renewed_from_id else None,
        },
        now=now,
    )


def _shown(contract: Contract) -> dict[str, object]:
    return changes.state_of(contract, DRAFT_EDITABLE | {"status"}) | contract_terms.shown(contract)
