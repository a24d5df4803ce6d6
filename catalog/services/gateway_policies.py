"""How often a key may be used, where gateways that count in Redis by themselves read it."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from aforo import valkey
from aforo.tenancy.models import ApiKey
from catalog.models import SubscriptionPlan

SECONDS = 90  # a policy that is not written anew is over
WINDOW_SECONDS = 60  # what a key's limit is counted over
WINDOWS_PER_HOUR = 60
_PER_CALL = 500


def write_policies() -> int:
    """Write the limit of every open metering key that has one, whatever is there; how many keys.

    Each under the tenant's id and its slug: gateways are set up with either. RedisError when Redis
    is away.
    """
    keys = ApiKey.objects.filter(  # any tenant: a sweep
        kind=ApiKey.Kind.METERING, revoked_at=None, rate_limit__isnull=False
    )
    rows = list(keys.select_related("tenant", "subscription").order_by("pk"))
    plans = _plans(rows)
    for start in range(0, len(rows), _PER_CALL):
        with valkey.client().pipeline(transaction=False) as pipe:
            for key in rows[start : start + _PER_CALL]:
                policy = msgspec.json.encode(_policy(key, plans.get(_subscription_of(key))))
                for name in _names(key):
                    pipe.set(name, policy, ex=SECONDS)
            pipe.execute()
    return len(rows)


def _names(key: ApiKey) -> Iterator[str]:
    """A key is known by its SHA-256, which is all that is stored of it."""
    digest = bytes(key.digest).hex()
    for tenant in (key.tenant_id, key.tenant.slug):
        yield f"ratelimit:policy:{tenant}:{digest}"


def _policy(key: ApiKey, rate_plan_id: UUID | None) -> dict[str, Any]:
    limit = key.rate_limit or 0
    return {
        "enforcementMode": "HARD",
        "policyName": f"limit of key {key}",
        "ratePlanId": str(rate_plan_id) if rate_plan_id else None,
        "scope": "PER_KEY",
        "tiers": [
            {"windowSeconds": WINDOW_SECONDS, "maxRequests": limit, "burstCapacity": limit},
        ],
        "maxRpm": limit,
        "maxRph": limit * WINDOWS_PER_HOUR,
    }


def _subscription_of(key: ApiKey) -> UUID | None:
    bound = getattr(key, "subscription", None)  # a one-to-one that need not be there
    return bound.subscription_id if bound else None


def _plans(keys: list[ApiKey]) -> dict[UUID | None, UUID]:
    """The first plan of each subscription that a key is bound to, as it is priced now."""
    rows = SubscriptionPlan.objects.filter(  # any tenant: of the keys at hand
        subscription__in={_subscription_of(key) for key in keys} - {None}, end_at=None
    )
    values = rows.order_by("-position", "-id")
    return dict(values.values_list("subscription", "version__rate_plan"))
