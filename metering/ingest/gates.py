"""What can be judged of one event by itself: its strings, its quantity, its time."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

from metering.ingest.events import Event, Refusal

MAX_FUTURE = timedelta(minutes=5)
MAX_AGE = timedelta(days=90)
LATE_AFTER = timedelta(hours=24)
MAX_METADATA_BYTES = 16 * 1024
MAX_DEPTH = 64  # of metadata: whoever reads it later may stand on a deep stack of their own
MAX_KEY = 4096  # an MQTT key holds its whole topic
MAX_TEXT = 400
QUANTITY_DIGITS = 24
QUANTITY_PLACES = 12
_TEXTS = ("customerId", "metricName", "productType", "sessionId", "agentId", "toolName", "traceId")

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an escaped backslash begins no escape
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_INNERMOST = re.compile(rb"\{\}|\[\]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def check_event(event: Event, *, received_at: datetime) -> Refusal | None:
    """The first thing that is wrong with `event`, in the order of the gates; None when it may pass.

    Judged on the clock of the tenant (`received_at`), never on our own.
    """
    return check_quantity(event) or check_text(event) or check_time(event, received_at)


def check_quantity(event: Event) -> Refusal | None:
    """A quantity is finite, not negative, below 10^24 and has at most 12 decimals."""
    quantity = event.quantity
    text = str(quantity)
    if len(text) <= QUANTITY_PLACES and text.replace(".", "", 1).isdigit():
        return None  # nearly always; to look at the digits takes four times as long
    if not quantity.is_finite():
        return Refusal("INVALID_QUANTITY", "quantity must be a finite number")
    if quantity.is_signed() and quantity:
        return Refusal("INVALID_QUANTITY", "quantity must not be negative")
    # `adjusted` before any comparison: 1E+1000000 must not become a million digits.
    if quantity and (quantity.adjusted() >= QUANTITY_DIGITS or _places(quantity) > QUANTITY_PLACES):
        return Refusal(
            "INVALID_QUANTITY", "quantity may have 24 digits before and 12 after the point"
        )
    return None


def _places(quantity: Decimal) -> int:
    """Decimals that carry a value: 1.50 has one."""
    _, digits, exponent = quantity.as_tuple()
    places = -int(exponent)
    for digit in reversed(digits):
        if digit or places <= QUANTITY_PLACES:
            break
        places -= 1
    return places


def check_text(event: Event) -> Refusal | None:
    """Names are there and short enough, and hold no nul; metadata is a small JSON object."""
    if not event.customerId or not event.metricName:
        empty = "metricName" if event.customerId else "customerId"
        return Refusal("INVALID_EVENT", f"{empty} must not be empty")
    # Spelled out, because seven look-ups by name are half of what checking a plain event takes.
    for text in (
        event.customerId,
        event.metricName,
        event.productType,
        event.sessionId,
        event.agentId,
        event.toolName,
        event.traceId,
    ):
        if text is not None and (len(text) > MAX_TEXT or "\x00" in text):
            name = next(name for name in _TEXTS if getattr(event, name) == text)
            return Refusal("INVALID_EVENT", f"{name} is too long or holds a nul character")
    key = event.idempotencyKey
    if key is not None and (not key or len(key) > MAX_KEY or "\x00" in key):
        return Refusal("INVALID_EVENT", "idempotencyKey is empty, too long or holds a nul")
    return _check_metadata(bytes(event.metadata))


def is_name(text: str) -> bool:
    """Whether somebody might go by `text`; an event of any other is refused for it."""
    return bool(text) and len(text) <= MAX_TEXT and "\x00" not in text


def _check_metadata(raw: bytes) -> Refusal | None:
    if len(raw) > MAX_METADATA_BYTES:
        return Refusal("INVALID_EVENT", f"metadata is over {MAX_METADATA_BYTES} bytes")
    if raw and raw != b"null" and not raw.startswith(b"{"):
        return Refusal("INVALID_EVENT", "metadata must be a JSON object")
    if len(raw) > 2 * MAX_DEPTH and _is_deep(raw):  # shorter JSON cannot be
        return Refusal("INVALID_EVENT", f"metadata is nested more than {MAX_DEPTH} levels deep")
    if b"\\u0000" in raw and _NUL.search(raw):
        return Refusal("INVALID_EVENT", "metadata holds a nul character")
    return None


def _is_deep(raw: bytes) -> bool:
    """Whether JSON is nested beyond the limit: each round removes the innermost brackets."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:  # nearly always: 0.1 us instead of 3
        return False
    brackets = _TEXT.sub(b"", raw).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = _INNERMOST.sub(b"", brackets)  # at once: one after the other takes two levels
    return bool(brackets)


def check_time(event: Event, received_at: datetime) -> Refusal | None:
    """Not more than 5 minutes ahead of the tenant's clock, not more than 90 days behind it."""
    if event.occurredAt is None:
        return None
    try:
        occurred = event.occurred(received_at)
    except (ValueError, OverflowError):
        return Refusal("INVALID_TIMESTAMP", "occurredAt is not a time that a calendar holds")
    if occurred > received_at + MAX_FUTURE:
        return Refusal("TIMESTAMP_IN_FUTURE", "occurredAt is more than 5 minutes in the future")
    if occurred < received_at - MAX_AGE:
        return Refusal("TIMESTAMP_TOO_OLD", "occurredAt is more than 90 days ago")
    return None


def unknown_metric(name: str) -> Refusal:
    return Refusal("UNKNOWN_METRIC", f"metricName {name!r} is no billable unit of this tenant")
