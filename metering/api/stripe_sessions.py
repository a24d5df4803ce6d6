"""Sessions of Stripe's event stream: a token that stands for a key for a quarter of an hour.

Nothing is stored: the token holds the key's digest, sealed. A revoked key closes its sessions,
because whatever the stream brings is stored by a statement that asks for the key.
"""

import base64
import binascii
from datetime import datetime, timedelta

from aforo.errors import Unauthenticated
from aforo.sealing import Unsealable, seal, unseal

LIFETIME = timedelta(minutes=15)
_PURPOSE = "meter event stream session"
_ROW = "token"
_PREFIX = "mes_"
_DIGEST_BYTES = 32


def token_of(digest: bytes, *, now: datetime) -> tuple[str, datetime]:
    """A token for the key with this SHA-256, and when it expires."""
    expires_at = now + LIFETIME
    sealed = seal(digest + expires_at.isoformat().encode(), purpose=_PURPOSE, row=_ROW)
    return _PREFIX + base64.urlsafe_b64encode(sealed).decode(), expires_at


def digest_in(token: str, *, now: datetime) -> bytes:
    """The key that a token stands for; raises Unauthenticated when it is none or is over."""
    try:
        sealed = base64.urlsafe_b64decode(token.removeprefix(_PREFIX))
        opened = unseal(sealed, purpose=_PURPOSE, row=_ROW)
    except (binascii.Error, ValueError, Unsealable):
        raise Unauthenticated("send the authentication_token of a session") from None
    if datetime.fromisoformat(opened[_DIGEST_BYTES:].decode()) <= now:
        raise Unauthenticated("this session is over: create another", code="SESSION_EXPIRED")
    return opened[:_DIGEST_BYTES]
