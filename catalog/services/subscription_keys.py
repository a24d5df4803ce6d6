"""Keys of one subscription: given out for it, and revoked with its end."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.errors import Conflict
from aforo.tenancy.models import ApiKey
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import issue_key, revoke_key
from catalog.models import Subscription, SubscriptionKey
from catalog.services import lifecycle


@transaction.atomic
def issue_subscription_key(
    *,
    subscription: Subscription,
    name: str,
    actor: Actor,
    now: datetime,
    rate_limit: int | None = None,
) -> tuple[SubscriptionKey, str]:
    """A new metering key of a subscription that is not over, and its plaintext, shown this once.

    Under the lock of the subscription: a key comes either before its cancellation, which revokes
    it, or not at all.
    """
    locked = lifecycle.locked(subscription)
    if locked.state in Subscription.OVER:
        raise Conflict(f"a subscription that is {locked.state} takes no keys", code="NOT_RUNNING")
    key, text = issue_key(
        tenant=locked.tenant,
        kind=ApiKey.Kind.METERING,
        name=name,
        rate_limit=rate_limit,
        actor=actor,
        now=now,
    )
    bound = SubscriptionKey.objects.create(tenant_id=locked.tenant_id, subscription=locked, key=key)
    return bound, text


def revoke_all(
    subscription_ids: Collection[UUID], *, actor: Actor, now: datetime, reason: str = ""
) -> int:
    """Revoke the keys of locked subscriptions in the caller's transaction; how many there are.

    Those that are revoked as well: a cache may still have to hear of it.
    """
    bound = (
        SubscriptionKey.objects.filter(subscription__in=subscription_ids)  # any tenant: at hand
        .select_related("key")
        .order_by("key_id")
    )
    keys = [row.key for row in bound]
    for key in keys:
        revoke_key(key=key, actor=actor, now=now, reason=reason or "its subscription is over")
    return len(keys)
