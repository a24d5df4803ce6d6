"""What was used: the inbox, the events, their totals, and what could not be counted."""

from metering.models.activity import ReceiptSlice, UnitActivity
from metering.models.archives import ArchivedCount, ArchivedMonth, ReceiptDay
from metering.models.corrections import Correction
from metering.models.costs import CostEvent
from metering.models.events import EventKey, UsageEvent
from metering.models.guards import (
    CustomerTag,
    GuardCount,
    GuardDecision,
    GuardFloor,
    MarginGuard,
    MarginLevel,
    MarginReason,
    MarginState,
)
from metering.models.inbox import InboxBatch, RawPayload, Receipt
from metering.models.letter_decisions import LetterAlarm, LetterDecision
from metering.models.letters import DeadLetter, HeldEvent
from metering.models.rate_cards import RateCard
from metering.models.sessions import Session
from metering.models.totals import LateTotal, RatingAdjustment, RunningTotal, UniqueValue
from metering.models.unknown_metrics import UnknownMetric
from metering.models.uploads import Upload, UploadBatch, UploadIssue, UploadPiece

__all__ = [
    "ArchivedCount",
    "ArchivedMonth",
    "Correction",
    "CostEvent",
    "CustomerTag",
    "DeadLetter",
    "EventKey",
    "GuardCount",
    "GuardDecision",
    "GuardFloor",
    "HeldEvent",
    "InboxBatch",
    "LateTotal",
    "LetterAlarm",
    "LetterDecision",
    "MarginGuard",
    "MarginLevel",
    "MarginReason",
    "MarginState",
    "RateCard",
    "RatingAdjustment",
    "RawPayload",
    "Receipt",
    "ReceiptDay",
    "ReceiptSlice",
    "RunningTotal",
    "Session",
    "UniqueValue",
    "UnitActivity",
    "UnknownMetric",
    "Upload",
    "UploadBatch",
    "UploadIssue",
    "UploadPiece",
    "UsageEvent",
]
