"""By what fast doors know a key: its entry in Redis, or the mark that revoking has left there.

Doors with PostgreSQL at hand write an entry when a key is first used; for those without, a sync
writes the entries of all keys, and of all tenants by their names.
"""

import re
from uuid import UUID

REVOKED = b"revoked"
REVOCATIONS = "access-revoked"  # the channel on which the digest of a key is told, as it is revoked
ENTRIES_WHOLE = "access-keys-whole"  # there while every open key has an entry
TENANTS = "access-tenants"  # by id and by slug: what an entry says, with nobody's key


_FORM = re.compile(r"sk_(live|test)_[A-Za-z0-9]{40}")


def is_possible_key(text: str) -> bool:
    """Whether a metering key looks like this; anything else was never one."""
    return _FORM.fullmatch(text) is not None


def is_called(name: str, *, tenant_id: UUID, slug: str) -> bool:
    """Whether `X-Tenant-Id: name` means this tenant: its id or its slug, in whatever letters."""
    return name.strip().lower() in {str(tenant_id), slug.lower()}


def entry_of(digest: bytes) -> str:
    """The name of the Redis entry by which fast doors know a key."""
    return f"key:{digest.hex()}"


def entry_text(
    *, key_id: object, tenant_id: object, slug: str, fallback: str, customer: str = ""
) -> str:
    """What an entry says; `customer` is whose subscription the key was given out for."""
    return f"{key_id} {tenant_id} {slug} {fallback} {customer}"
