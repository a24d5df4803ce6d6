"""The admin of metering: everything is to be read, and nothing is counted to the end."""

from metering.admin.alerts import AlertAdmin
from metering.admin.corrections import CorrectionAdmin
from metering.admin.costs import CostEventAdmin
from metering.admin.events import EventKeyAdmin, UsageEventAdmin
from metering.admin.guards import (
    CustomerTagAdmin,
    GuardDecisionAdmin,
    MarginGuardAdmin,
    MarginStateAdmin,
)
from metering.admin.held import HeldEventAdmin
from metering.admin.inbox import InboxBatchAdmin, ReceiptAdmin
from metering.admin.letter_decisions import LetterDecisionAdmin, UnknownMetricAdmin
from metering.admin.letters import DeadLetterAdmin
from metering.admin.monitors import MonitorSettingsAdmin, UnitHealthAdmin
from metering.admin.rate_cards import RateCardAdmin
from metering.admin.sessions import SessionAdmin
from metering.admin.totals import RatingAdjustmentAdmin, RunningTotalAdmin, UniqueValueAdmin
from metering.admin.uploads import UploadAdmin

__all__ = [
    "AlertAdmin",
    "CorrectionAdmin",
    "CostEventAdmin",
    "CustomerTagAdmin",
    "DeadLetterAdmin",
    "EventKeyAdmin",
    "GuardDecisionAdmin",
    "HeldEventAdmin",
    "InboxBatchAdmin",
    "LetterDecisionAdmin",
    "MarginGuardAdmin",
    "MarginStateAdmin",
    "MonitorSettingsAdmin",
    "RateCardAdmin",
    "RatingAdjustmentAdmin",
    "ReceiptAdmin",
    "RunningTotalAdmin",
    "SessionAdmin",
    "UniqueValueAdmin",
    "UnitHealthAdmin",
    "UnknownMetricAdmin",
    "UploadAdmin",
    "UsageEventAdmin",
]
