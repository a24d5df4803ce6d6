"""Secrets at rest: AES-256-GCM under a key made from `SECRET_KEY`, one for each purpose."""

import os
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE_BYTES = 12


class Unsealable(ValueError):
    """Sealed under another `SECRET_KEY`, for another purpose or row, or changed since."""


def seal(secret: bytes, *, purpose: str, row: str) -> bytes:
    """`secret` for the database; it opens only for the same purpose and row."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(purpose).encrypt(nonce, secret, row.encode())


def unseal(sealed: bytes, *, purpose: str, row: str) -> bytes:
    """What was sealed; raises `Unsealable`."""
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return _cipher(purpose).decrypt(nonce, ciphertext, row.encode())
    except InvalidTag:
        raise Unsealable(f"this does not open as {purpose} of {row}") from None


@cache
def _cipher(purpose: str) -> AESGCM:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode())
    return AESGCM(derivation.derive(settings.SECRET_KEY.encode()))
