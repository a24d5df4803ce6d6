"""The secrets of endpoints at rest: sealed, two of them for a day after one was replaced."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from aforo.sealing import seal, unseal
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


def _opened(endpoint: WebhookEndpoint, sealed: bytes) -> str:
    return unseal(sealed, purpose=_PURPOSE, row=str(endpoint.pk)).decode()
