"""What a running total's `state` holds: the measure of its aggregation, and the parts of its terms.

{"level": ..., "parts": [...]}, each only where it is needed; None where neither is.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from catalog.pricing import Part, Usage, parts_from_json, parts_to_json
from metering.aggregation.measure import Measure

Stored = Mapping[str, Any] | str | None
"""As Django reads it, or as JSON."""

_decoder = msgspec.json.Decoder(dict[str, Any])


def read(state: Stored) -> Mapping[str, Any]:
    """Its members; none of a total that remembers nothing."""
    return _decoder.decode(state) if isinstance(state, str) else state or {}


def usage_in(quantity: Decimal, count: int, state: Stored) -> Usage:
    """The usage of a total that stands at this: what its terms charge."""
    return Usage(quantity, count, parts_from_json(read(state).get("parts")))


def level_in(state: Stored) -> Any:
    """What `measure_of` goes on from."""
    return read(state).get("level")


def state_of(measure: Measure | None, parts: tuple[Part, ...] | None) -> dict[str, Any] | None:
    """What is to be stored; `parts` is None where terms keep none."""
    state: dict[str, Any] = {}
    if measure is not None:
        state["level"] = measure.state()
    if parts is not None:
        state["parts"] = parts_to_json(parts)
    return state or None
