"""What was used: the inbox, the events, their totals, and what could not be counted."""

from metering.models.events import EventKey, UsageEvent
from metering.models.inbox import InboxBatch, Receipt
from metering.models.letters import DeadLetter, HeldEvent
from metering.models.totals import RatingAdjustment, RunningTotal, UniqueValue

__all__ = [
    "DeadLetter",
    "EventKey",
    "HeldEvent",
    "InboxBatch",
    "RatingAdjustment",
    "Receipt",
    "RunningTotal",
    "UniqueValue",
    "UsageEvent",
]
