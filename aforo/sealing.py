"""Secrets at rest: AES-256-GCM under a key made from a sealing key, one for each purpose.

The first of `SEALING_KEYS` seals, each of them opens, and so does `SECRET_KEY`, which seals where
there is none.
"""

import os
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE_BYTES = 12


class Unsealable(ValueError):
    """Sealed under a key that is gone, for another purpose or row, or changed since."""


def seal(secret: bytes, *, purpose: str, row: str) -> bytes:
    """`secret` for the database; it opens only for the same purpose and row."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(purpose, _keys()[0]).encrypt(nonce, secret, row.encode())


def unseal(sealed: bytes, *, purpose: str, row: str) -> bytes:
    """What was sealed; raises `Unsealable`."""
    return _opened(sealed, purpose=purpose, row=row)[0]


def resealed(sealed: bytes, *, purpose: str, row: str) -> bytes | None:
    """The same secret under the key that seals now; None when it is. Raises `Unsealable`."""
    secret, key = _opened(sealed, purpose=purpose, row=row)
    return None if key == _keys()[0] else seal(secret, purpose=purpose, row=row)


def _opened(sealed: bytes, *, purpose: str, row: str) -> tuple[bytes, str]:
    """The secret, and the key that it was sealed with."""
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    for key in _keys():
        try:
            return _cipher(purpose, key).decrypt(nonce, ciphertext, row.encode()), key
        except InvalidTag:
            continue
    raise Unsealable(f"this does not open as {purpose} of {row}")


def _keys() -> list[str]:
    return [*settings.SEALING_KEYS, settings.SECRET_KEY]


@cache
def _cipher(purpose: str, key: str) -> AESGCM:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode())
    return AESGCM(derivation.derive(key.encode()))
