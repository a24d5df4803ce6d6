"""Where a usage event came from, what was decided about it, and the proof of it."""

from metering.provenance.chain import Proven, Provenance, provenance_of, usage_event
from metering.provenance.verdicts import Gate, found_by, gates_of, lateness, routing_of

__all__ = [
    "Gate",
    "Proven",
    "Provenance",
    "found_by",
    "gates_of",
    "lateness",
    "provenance_of",
    "routing_of",
    "usage_event",
]
