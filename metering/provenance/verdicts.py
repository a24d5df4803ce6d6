"""What the gates and the enrichment said of a stored event, told from what they left behind."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from aforo.errors import AforoError
from catalog.models import Customer
from metering.ingest.events import fields_of
from metering.ingest.gates import LATE_AFTER, MAX_AGE, MAX_FUTURE
from metering.models import UsageEvent
from metering.provenance.chain import Provenance

PASSED, FLAGGED, BROKEN = "PASSED", "FLAGGED", "BROKEN"
EXTERNAL_ID, OWN_ID, ALIAS = "EXTERNAL_ID", "OWN_ID", "ALIAS"
COUNTED, UNBILLED, TAKES_BACK = "COUNTED", "UNBILLED", "TAKES_BACK"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: its verdict, and when it was said, on the clock named in `detail`.

    An event that is stored has passed; FLAGGED is a passed one that is late, BROKEN one whose
    traces contradict it.
    """

    gate: str
    verdict: str
    at: datetime | None
    detail: str


def gates_of(provenance: Provenance) -> tuple[Gate, ...]:
    """The four gates in their order."""
    event, receipt = provenance.event, provenance.receipt
    arrived, drained = (receipt.arrived_at, receipt.drained_at) if receipt else (None, None)
    late = lateness(event)
    in_time = -MAX_FUTURE <= late <= MAX_AGE
    return (
        Gate("schema", PASSED, arrived, "read at the door, and again by the drain"),
        Gate("timestamp", PASSED if in_time else FLAGGED, event.received_at, _age(late)),
        Gate(
            "idempotency",
            PASSED if provenance.holds_key else BROKEN,
            drained,
            "the ledger holds its key" if provenance.holds_key else "the ledger lacks its key",
        ),
        Gate(
            "latency",
            FLAGGED if event.late else PASSED,
            event.received_at,
            f"late: over {_spelled(LATE_AFTER)}" if event.late else f"under {_spelled(LATE_AFTER)}",
        ),
    )


def lateness(event: UsageEvent) -> timedelta:
    """From when it happened to when it was received, on the tenant's clock; negative if ahead."""
    return event.received_at - event.occurred_at


def found_by(provenance: Provenance) -> str | None:
    """By which of its names the event found its customer; None where that cannot be told."""
    if provenance.customer is None or provenance.raw is None:
        return None
    name = _customer_name(provenance.raw)
    return None if name is None else _name_kind(name, provenance.customer)


def routing_of(provenance: Provenance) -> str:
    """COUNTED into a total, UNBILLED in none, or TAKES_BACK what another event counted."""
    event = provenance.event
    if event.running_total_id is None:
        return UNBILLED
    takes_back = any(
        row.event_id != event.pk and row.void_position == event.position
        for row in provenance.corrections
    )
    return TAKES_BACK if takes_back else COUNTED


def _customer_name(raw: bytes) -> str | None:
    try:
        fields = fields_of(raw)
        name = msgspec.json.decode(fields["customerId"]) if isinstance(fields, dict) else None
    except (AforoError, KeyError, msgspec.DecodeError):
        return None
    return name if isinstance(name, str) else None


def _name_kind(name: str, customer: Customer) -> str:
    if name == customer.external_id:
        return EXTERNAL_ID
    try:
        return OWN_ID if UUID(name) == customer.pk else ALIAS
    except ValueError:
        return ALIAS


def _age(late: timedelta) -> str:
    if late < timedelta(0):
        return f"{_spelled(-late)} ahead of the tenant's clock"
    return f"{_spelled(late)} before it was received, on the tenant's clock"


def _spelled(span: timedelta) -> str:
    if span < timedelta(hours=2):
        return f"{span.total_seconds():.0f} s"
    if span < timedelta(days=3):
        return f"{span // timedelta(hours=1)} hours"
    return f"{span.days} days"
