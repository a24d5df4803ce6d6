"""How many tokens of a language model an event speaks of: for sessions, never for a price.

The metadata decides: `total_tokens`, else `input_tokens` plus `output_tokens`. Where it says
nothing, the quantity counts if the metric's name has "token" in it. Spelled in snake case or in
camel case; a number that is not whole, not positive or beyond belief says nothing.
"""

from decimal import Decimal
from typing import Any

import msgspec

from aforo.money import ZERO
from metering.ingest.events import HEARTBEAT, Event

MOST = 10**15  # of one event; more is a mistake or mischief
_WORD = "token"
_MARK = b"oken"  # of every name below


class _Counts(msgspec.Struct):
    total_tokens: Any = None
    totalTokens: Any = None  # noqa: N815 - the wire's spelling, here and below
    input_tokens: Any = None
    inputTokens: Any = None  # noqa: N815
    output_tokens: Any = None
    outputTokens: Any = None  # noqa: N815


_decoder = msgspec.json.Decoder(_Counts)


def tokens_of(event: Event) -> Decimal:
    """The tokens of one event; 0 when it speaks of none."""
    metadata = bytes(event.metadata)
    if _MARK in metadata and (told := _told(metadata)):
        return Decimal(told)
    if _WORD in event.metricName.lower() and event.metricName != HEARTBEAT:
        return event.quantity
    return ZERO


def _told(metadata: bytes) -> int:
    try:
        counts = _decoder.decode(metadata)
    except (msgspec.MsgspecError, RecursionError):
        return 0
    total = _whole(counts.total_tokens) or _whole(counts.totalTokens)
    if total:
        return total
    received = _whole(counts.input_tokens) or _whole(counts.inputTokens)
    return received + (_whole(counts.output_tokens) or _whole(counts.outputTokens))


def _whole(value: object) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 < value <= MOST and value == int(value) else 0  # type: ignore[operator, call-overload]
