"""How a message proves that it is ours: Standard Webhooks, and a header of our own beside it."""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """A secret as Standard Webhooks writes it: `whsec_` and base64."""
    return _PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(
    body: bytes, *, message_id: str, at: datetime, valid: Sequence[str]
) -> dict[str, str]:
    """The headers of one attempt, signed with each valid secret: two while one is replaced.

    `webhook-signature` signs `id.timestamp.body` with the bytes of the secret; `X-Aforo-Signature`
    signs `timestamp.body` with its text, as shown.
    """
    timestamp = str(int(at.timestamp()))
    whole = f"{message_id}.{timestamp}.".encode() + body
    standard = [b64encode(_hmac(b64decode(one.removeprefix(_PREFIX)), whole)) for one in valid]
    own = [_hmac(one.encode(), f"{timestamp}.".encode() + body).hex() for one in valid]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{one.decode()}" for one in standard),
        "X-Aforo-Signature": ",".join([f"t={timestamp}", *(f"v1={one}" for one in own)]),
    }


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()
