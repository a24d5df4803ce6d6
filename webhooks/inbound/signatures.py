"""Whether a push comes from who shares the secret: HMAC-SHA256 over its raw body, in hex."""

import hmac
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=5)
_PREFIX = "sha256="
_LONGEST_NUMBER = 12  # of digits: seconds since 1970 for the next thirty thousand years


class BadSignature(ValueError):
    """The signature is absent, malformed or of another secret or body."""


class Stale(ValueError):
    """What was signed says that it is not of this moment."""


def sign(secret: bytes, body: bytes, *, timestamp: str | None = None) -> str:
    """The signature of a body; a `timestamp` stands before it, with a full stop between."""
    signed = body if timestamp is None else timestamp.encode() + b"." + body
    return hmac.digest(secret, signed, "sha256").hex()


def verify(
    body: bytes, *, signature: str, timestamp: str | None, secret: bytes, now: datetime
) -> None:
    """Refuse a body that its secret did not sign, or signed at another time than about now.

    Whoever sends no timestamp signs the body alone. A timestamp is signed along, so a captured
    push can neither be sent later nor be stripped of it. Raises BadSignature or Stale.
    """
    expected = sign(secret, body, timestamp=timestamp)
    given = signature.strip().removeprefix(_PREFIX).lower()
    if not hmac.compare_digest(expected.encode(), given.encode(errors="replace")):
        raise BadSignature("the signature does not fit the body")
    if timestamp is None:
        return
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _LONGEST_NUMBER):
        raise Stale("the timestamp is no number of seconds since 1970")
    if abs(int(timestamp) - now.timestamp()) > WINDOW.total_seconds():
        raise Stale("the timestamp is more than 5 minutes away")
