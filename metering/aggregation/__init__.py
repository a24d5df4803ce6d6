"""How events make a quantity, for aggregations that have to remember more than the quantity.

Pure: the drain, corrections, recounts and auditors move the same values. COUNT, SUM, MAX and UNIQUE
need no more than a sum, and are spelled where they are walked.
"""

from metering.aggregation.average import Average
from metering.aggregation.latest import Latest
from metering.aggregation.measure import Measure, Span, key_hash
from metering.aggregation.percentile import Percentile, nearest_rank
from metering.aggregation.weighted import Weighted

__all__ = [
    "CARRIED",
    "ESTIMATED",
    "MEASURES",
    "Average",
    "Latest",
    "Measure",
    "Percentile",
    "Span",
    "Weighted",
    "key_hash",
    "measure_of",
    "nearest_rank",
]

MEASURES: dict[str, type[Measure]] = {
    "LATEST": Latest,
    "AVG": Average,
    "PERCENTILE_95": Percentile,
    "WEIGHTED_SUM": Weighted,
}
ESTIMATED = frozenset({"PERCENTILE_95", "WEIGHTED_SUM"})
"""Their quantity at ingest is an estimate, until a bill run has told it from all events."""
CARRIED = frozenset({"SUM", "MAX", "UNIQUE", "LATEST", "WEIGHTED_SUM"})
"""A recurring unit of these starts a period where the one before ended."""


def measure_of(
    aggregation: str, state: object, *, span: Span, carried: object = None
) -> Measure | None:
    """What moves a total of this aggregation, from its stored `state`; None: a sum is enough."""
    kind = MEASURES.get(aggregation)
    return None if kind is None else kind.from_state(state, span=span, carried=carried)
