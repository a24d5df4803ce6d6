"""Whose subscription a key was given out for."""

from uuid import UUID

from aforo.tenancy.models import ApiKey
from catalog.models import Customer, SubscriptionKey


def customer_of_key(key_id: UUID) -> Customer | None:
    """The customer that a key speaks for; None for one of the tenant's own.

    Whether or not the subscription is over: a key never becomes another one's.
    """
    bound = SubscriptionKey.objects.filter(key=key_id)  # any tenant: by its key
    row = bound.select_related("subscription__customer").first()
    return row.subscription.customer if row else None


def may_ask_about(key: ApiKey, *, sent_with: UUID | None) -> bool:
    """Whether a key may hear what became of what this key sent.

    That of a subscription hears of what keys of its own customer sent, and of nothing else.
    """
    own = customer_of_key(key.pk)
    if own is None or sent_with == key.pk:
        return True
    return sent_with is not None and customer_of_key(sent_with) == own
