"""What was used: the inbox, the events, their totals, and what could not be counted."""

from metering.models.archives import ArchivedCount, ArchivedMonth, ReceiptDay
from metering.models.corrections import Correction
from metering.models.costs import CostEvent
from metering.models.events import EventKey, UsageEvent
from metering.models.inbox import InboxBatch, RawPayload, Receipt
from metering.models.letters import DeadLetter, HeldEvent
from metering.models.sessions import Session
from metering.models.totals import RatingAdjustment, RunningTotal, UniqueValue
from metering.models.uploads import Upload, UploadIssue, UploadPiece

__all__ = [
    "ArchivedCount",
    "ArchivedMonth",
    "Correction",
    "CostEvent",
    "DeadLetter",
    "EventKey",
    "HeldEvent",
    "InboxBatch",
    "RatingAdjustment",
    "RawPayload",
    "Receipt",
    "ReceiptDay",
    "RunningTotal",
    "Session",
    "UniqueValue",
    "Upload",
    "UploadIssue",
    "UploadPiece",
    "UsageEvent",
]
