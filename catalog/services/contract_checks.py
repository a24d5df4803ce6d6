"""What a contract must be before it is stored, and before it is agreed."""

from django.db.models import Q

from aforo.errors import Conflict, Refused
from catalog.models import Contract
from catalog.services import changes, contract_terms

_LONGEST_RENEWAL = 120


def require_sound(contract: Contract) -> None:
    """Refuse a contract that contradicts itself or names what is not its customer's."""
    changes.require_valid(contract)
    changes.require_currency(contract.currency)
    if contract.end_at <= contract.start_at:
        raise changes.refused("endAt", "INVALID", "must come after the start")
    contract_terms.require_range("", contract.minimum_spend, contract.maximum_spend)
    if not 1 <= contract.renewal_months <= _LONGEST_RENEWAL:
        reason = f"is from 1 to {_LONGEST_RENEWAL}"
        raise changes.refused("renewalMonths", "INVALID", reason)
    if contract.customer.archived_at is not None:
        raise Refused(f"customer '{contract.customer}' is archived")
    _require_own_subscription(contract)


def _require_own_subscription(contract: Contract) -> None:
    subscription = contract.subscription
    if subscription is None:
        return
    if subscription.customer_id != contract.customer_id:
        raise changes.refused("subscriptionId", "MISMATCH", "is another customer's")
    if subscription.currency != contract.currency:
        reason = f"the subscription is billed in {subscription.currency}"
        raise changes.refused("currency", "MISMATCH", reason)


def require_alone(contract: Contract) -> None:
    """Conflict when the same subscriptions are under contract already; one may have its own too."""
    others = Contract.objects.for_tenant(contract.tenant_id).filter(
        Q(subscription=contract.subscription_id)
        if contract.subscription_id
        else Q(subscription=None),
        customer=contract.customer_id,
        currency=contract.currency,
        status__in=(Contract.Status.ACTIVE, Contract.Status.ENDED),
        start_at__lt=contract.end_at,
        end_at__gt=contract.start_at,
    )
    other = others.exclude(pk=contract.pk).first()
    if other is not None:
        raise Conflict(f"contract '{other}' is in force at that time already")
