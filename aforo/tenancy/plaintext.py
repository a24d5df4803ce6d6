"""What a key looks like before it is hashed: a prefix that names its door, then chance."""

import hashlib
import secrets
import string

from aforo.tenancy.models import ApiKey

LIVE, TEST, OPERATOR = "sk_live_", "sk_test_", "afo_"
_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARACTERS = 40  # 238 bits: a slow hash would protect nothing more


def prefix_of(kind: str, *, sandbox: bool) -> str:
    """The prefix of a key of this kind; only metering keys tell a sandbox from a live tenant."""
    if kind == ApiKey.Kind.OPERATOR:
        return OPERATOR
    return TEST if sandbox else LIVE


def draw(prefix: str) -> str:
    """A new key: `prefix` and 40 random letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))


def digest_of(plaintext: str) -> bytes:
    """SHA-256 of a key: all that is stored of it."""
    return hashlib.sha256(plaintext.encode(errors="surrogateescape")).digest()
