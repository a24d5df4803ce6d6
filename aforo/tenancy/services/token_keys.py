"""The keys that sign tokens: drawn by themselves, published before they sign and after."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from django.db import connection, transaction
from jwt.utils import to_base64url_uint

from aforo.errors import Unavailable
from aforo.ids import new_id
from aforo.sealing import Unsealable, resealed, seal, unseal
from aforo.tenancy.models import TokenKey

SIGNS_FOR = timedelta(days=30)
PUBLISHED_AHEAD = timedelta(hours=2)  # verifiers keep what they have read for an hour
PUBLISHED_AFTER = timedelta(days=1)  # tokens live for minutes
_PURPOSE = "key that signs tokens"
_BITS, _EXPONENT = 2048, 65_537
_LOCK = 7_305_241_011  # of two who find that a key is due one draws it


def published_keys(*, now: datetime) -> list[TokenKey]:
    """The keys that a valid token may be signed with, now or soon; there is always one."""
    keys = list(TokenKey.objects.order_by("signs_from", "pk"))  # any tenant: the installation's
    return keys or turn_keys(now=now)


def signing_key(*, now: datetime) -> TokenKey:
    """The newest key whose time to sign has come.

    The oldest when none has: it was drawn a moment after the caller looked at the clock.
    """
    keys = published_keys(now=now)
    return next((key for key in reversed(keys) if key.signs_from <= now), keys[0])


def private_key_of(key: TokenKey) -> RSAPrivateKey:
    """What it signs with; Unavailable when no key of this installation opens it."""
    return _opened(str(key.pk), bytes(key.sealed_private_key))


@transaction.atomic
def turn_keys(*, now: datetime) -> list[TokenKey]:
    """Draw the next key when it is due and let go of those that nothing needs any more.

    May run twice, also at once. The keys that stand, oldest first.
    """
    _lock()
    keys = list(TokenKey.objects.order_by("signs_from", "pk"))  # any tenant: the installation's
    if not keys:
        return [_draw(signs_from=now, now=now)]
    if keys[-1].signs_from + SIGNS_FOR <= now + PUBLISHED_AHEAD:
        keys.append(_draw(signs_from=now + PUBLISHED_AHEAD, now=now))
    over = _superseded(keys, now)
    TokenKey.objects.filter(pk__in=[key.pk for key in over]).delete()  # any tenant: likewise
    return [key for key in keys if key not in over]


@transaction.atomic
def replace_keys(*, now: datetime) -> TokenKey:
    """Another key that signs at once; whatever was signed before is no longer good.

    For a key that leaked. Verifiers that keep what they have read hear of it when they read anew.
    """
    _lock()
    TokenKey.objects.all().delete()  # any tenant: the installation's
    return _draw(signs_from=now, now=now)


@transaction.atomic
def reseal_keys() -> int:
    """Seal each with the sealing key of today; how many had another."""
    count = 0
    rows = TokenKey.objects.order_by("pk").select_for_update()  # any tenant: the installation's
    for key in rows:
        try:
            again = resealed(bytes(key.sealed_private_key), purpose=_PURPOSE, row=str(key.pk))
        except Unsealable:
            continue  # who signs with it says so
        if again:
            key.sealed_private_key = again
            key.save(update_fields=["sealed_private_key"])
            count += 1
    return count


def _superseded(keys: Sequence[TokenKey], now: datetime) -> list[TokenKey]:
    return [
        key for key, successor in pairwise(keys) if successor.signs_from + PUBLISHED_AFTER <= now
    ]


def _draw(*, signs_from: datetime, now: datetime) -> TokenKey:
    private = generate_private_key(public_exponent=_EXPONENT, key_size=_BITS)
    numbers = private.public_key().public_numbers()
    key_id = new_id()
    written = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return TokenKey.objects.create(
        id=key_id,
        modulus=to_base64url_uint(numbers.n).decode(),
        exponent=to_base64url_uint(numbers.e).decode(),
        sealed_private_key=seal(written, purpose=_PURPOSE, row=str(key_id)),
        created_at=now,
        signs_from=signs_from,
    )


@lru_cache(maxsize=8)  # reading one checks it, which takes longer than to sign
def _opened(key_id: str, sealed: bytes) -> RSAPrivateKey:
    try:
        written = unseal(sealed, purpose=_PURPOSE, row=key_id)
    except Unsealable as error:
        raise Unavailable("the key that signs tokens cannot be opened: replace it") from error
    private = load_der_private_key(written, password=None)
    if not isinstance(private, RSAPrivateKey):
        raise Unavailable("the key that signs tokens is none")
    return private


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
