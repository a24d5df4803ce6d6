"""What every proof of a push has: a signature compared in constant time, and a window of time."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=5)
_LONGEST_NUMBER = 12  # of digits: seconds since 1970 for the next thirty thousand years


class BadSignature(ValueError):
    """The signature is absent, malformed or of another secret or body."""


class Stale(ValueError):
    """What was signed says that it is not of this moment."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a sender without a scheme of its own signs."""

    header: str = "X-Hub-Signature-256"
    encoding: str = "hex"  # or base64
    prefix: str = "sha256="
    requires_timestamp: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """One push as it is judged. `headers` finds names however they are spelled.

    `url` is the address that the sender called, with its query.
    """

    body: bytes
    headers: Mapping[str, str]
    url: str
    now: datetime
    scheme: Scheme = field(default_factory=Scheme)


def sign(secret: bytes, body: bytes, *, timestamp: str | None = None) -> str:
    """The signature of a body in hex; a `timestamp` stands before it, with a full stop between."""
    signed = body if timestamp is None else timestamp.encode() + b"." + body
    return hmac.digest(secret, signed, "sha256").hex()


def require_same(one: str, *others: str) -> None:
    """Raise BadSignature unless one signature is among the others, to the letter."""
    wanted = one.encode(errors="replace")
    same = [hmac.compare_digest(wanted, other.encode(errors="replace")) for other in others]
    if not any(same):
        raise BadSignature("the signature does not fit the body")


def require_fresh(timestamp: str, *, now: datetime) -> None:
    """Raise Stale unless these seconds since 1970 are about now."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _LONGEST_NUMBER):
        raise Stale("the timestamp is no number of seconds since 1970")
    if abs(int(timestamp) - now.timestamp()) > WINDOW.total_seconds():
        raise Stale("the timestamp is more than 5 minutes away")
