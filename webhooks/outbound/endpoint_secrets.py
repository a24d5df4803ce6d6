"""The secrets of endpoints at rest: sealed, two of them for a day after one was replaced."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction

from aforo.sealing import Unsealable, resealed, seal, unseal
from webhooks.models import WebhookEndpoint

OVERLAP = timedelta(hours=24)  # both sign, so that a receiver can change without haste
_PURPOSE = "secret of a webhook endpoint"


def put_secret(endpoint: WebhookEndpoint, secret: str) -> None:
    """Give an endpoint its secret; not stored yet."""
    endpoint.sealed_secret = seal(secret.encode(), purpose=_PURPOSE, row=str(endpoint.pk))


def replace_secret(endpoint: WebhookEndpoint, secret: str, *, now: datetime) -> None:
    """Give it another; the one it has is valid beside it for `OVERLAP`."""
    endpoint.sealed_former_secret = endpoint.sealed_secret
    endpoint.former_secret_until = now + OVERLAP
    put_secret(endpoint, secret)


def valid_secrets(endpoint: WebhookEndpoint, *, now: datetime) -> Iterator[str]:
    """What an attempt is signed with, the newest first; Unsealable after a lost SECRET_KEY."""
    yield _opened(endpoint, bytes(endpoint.sealed_secret))
    until = endpoint.former_secret_until
    if endpoint.sealed_former_secret is not None and until is not None and until > now:
        yield _opened(endpoint, bytes(endpoint.sealed_former_secret))


def reseal_all() -> int:
    """Seal every secret with the key that seals now; how many endpoints had another."""
    count = 0
    endpoints = WebhookEndpoint.objects.order_by("pk")  # any tenant: sealing keys are everybody's
    for endpoint in endpoints.only("pk", "tenant_id"):
        with transaction.atomic():
            own = WebhookEndpoint.objects.for_tenant(endpoint.tenant_id).select_for_update()
            count += _resealed(own.get(pk=endpoint.pk))
    return count


def _resealed(endpoint: WebhookEndpoint) -> bool:
    fresh = {}
    for name in ("sealed_secret", "sealed_former_secret"):
        sealed = getattr(endpoint, name)
        try:
            again = sealed and resealed(bytes(sealed), purpose=_PURPOSE, row=str(endpoint.pk))
        except Unsealable:
            continue  # its attempts say so; the others are sealed anew
        if again:
            fresh[name] = again
    for name, again in fresh.items():
        setattr(endpoint, name, again)
    if fresh:
        endpoint.save(update_fields=list(fresh))
    return bool(fresh)


def _opened(endpoint: WebhookEndpoint, sealed: bytes) -> str:
    return unseal(sealed, purpose=_PURPOSE, row=str(endpoint.pk)).decode()
