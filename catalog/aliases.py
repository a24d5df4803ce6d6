"""Other names of customers, as keyed hashes: some of those names are secrets.

Wherever such a name must be kept (inbox, dead letters, logs), `alias:<hash>` stands in its place.
"""

import hashlib
import hmac
import re
from functools import cache
from uuid import UUID

from django.conf import settings

SECRET_PREFIXES = ("sk_", "afo_")
STAND_IN_PREFIX = "alias:"
_STAND_IN = re.compile(r"alias:([0-9a-f]{64})")


def digest_of(tenant_id: UUID, name: str) -> bytes:
    """The 32 bytes by which a tenant's alias is found."""
    return digest_under(key_of(settings.SECRET_KEY), tenant_id, name)


def digest_under(key: bytes, tenant_id: UUID, name: str) -> bytes:
    """The same for who has `key_of` the installation's secret, and not the secret."""
    return hmac.digest(key, tenant_id.bytes + b"\0" + name.encode(), "sha256")


def credential_of(digest: bytes) -> bytes:
    """By what a name is found where it must be a secret: a name that is none has no such digest."""
    return hashlib.sha256(b"aforo.catalog.credential\0" + digest).digest()


def is_secret(name: str) -> bool:
    """Whether `name` is an API key by its looks and may be stored nowhere."""
    return name.startswith(SECRET_PREFIXES)


def stand_in(digest: bytes) -> str:
    """What is written down instead of a secret name."""
    return f"{STAND_IN_PREFIX}{digest.hex()}"


def digest_in(name: str) -> bytes | None:
    """The digest that a stand-in carries; None when `name` is not one."""
    match = _STAND_IN.fullmatch(name)
    return bytes.fromhex(match[1]) if match else None


@cache
def key_of(secret: str) -> bytes:
    """A key for this purpose alone, so that no other use of the secret can be mixed up with it."""
    return hashlib.sha256(b"aforo.catalog.customer-alias\0" + secret.encode()).digest()
