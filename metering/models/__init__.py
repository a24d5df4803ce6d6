"""What was used: the inbox, the events, their totals, and what could not be counted."""

from metering.models.activity import ReceiptSlice, UnitActivity
from metering.models.alerts import Alert, AlertKind, Severity
from metering.models.archives import ArchivedCount, ArchivedMonth, ReceiptDay
from metering.models.corrections import Correction
from metering.models.costs import CostEvent
from metering.models.events import EventKey, UsageEvent
from metering.models.guards import (
    CustomerTag,
    GuardCount,
    GuardDecision,
    GuardFloor,
    MarginChannel,
    MarginGuard,
    MarginLevel,
    MarginReason,
    MarginState,
)
from metering.models.hourly_usage import DailyUsage, HourlyUsage, UsageSumming
from metering.models.inbox import InboxBatch, RawPayload, Receipt
from metering.models.letter_decisions import LetterAlarm, LetterDecision
from metering.models.letters import DeadLetter, HeldEvent
from metering.models.monitors import MonitorProgress, MonitorSettings, UnitHealth
from metering.models.rate_cards import RateCard
from metering.models.sessions import Session
from metering.models.totals import LateTotal, RatingAdjustment, RunningTotal, UniqueValue
from metering.models.unknown_metrics import UnknownMetric
from metering.models.uploads import Upload, UploadBatch, UploadIssue, UploadPiece

__all__ = [
    "Alert",
    "AlertKind",
    "ArchivedCount",
    "ArchivedMonth",
    "Correction",
    "CostEvent",
    "CustomerTag",
    "DailyUsage",
    "DeadLetter",
    "EventKey",
    "GuardCount",
    "GuardDecision",
    "GuardFloor",
    "HeldEvent",
    "HourlyUsage",
    "InboxBatch",
    "LateTotal",
    "LetterAlarm",
    "LetterDecision",
    "MarginChannel",
    "MarginGuard",
    "MarginLevel",
    "MarginReason",
    "MarginState",
    "MonitorProgress",
    "MonitorSettings",
    "RateCard",
    "RatingAdjustment",
    "RawPayload",
    "Receipt",
    "ReceiptDay",
    "ReceiptSlice",
    "RunningTotal",
    "Session",
    "Severity",
    "UniqueValue",
    "UnitActivity",
    "UnitHealth",
    "UnknownMetric",
    "Upload",
    "UploadBatch",
    "UploadIssue",
    "UploadPiece",
    "UsageEvent",
    "UsageSumming",
]
