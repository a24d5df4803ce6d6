"""Events as clients send them, and what the database made of them."""

from uuid import UUID

import lz4.frame
import msgspec
from django.db.models import F

from metering.models import DeadLetter, InboxBatch, Receipt, RunningTotal, UsageEvent

OUTCOMES = ("counted", "unbilled", "duplicates", "dead", "held")


def event(number=0, **fields):
    """One good event; `fields` replace or add members, those that are `...` are left out."""
    whole = {
        "customerId": "cust_1",
        "metricName": "calls",
        "quantity": 1,
        "occurredAt": "2026-03-15T11:00:00Z",
        "idempotencyKey": f"key-{number}",
    } | fields
    return {name: value for name, value in whole.items() if value is not ...}


def batch(*events):
    """The body that carries these events."""
    return msgspec.json.encode({"events": events})


def stored_events(row):
    """The events that an inbox row holds."""
    return msgspec.json.decode(lz4.frame.decompress(bytes(row.body)))


def outcomes(answer=None):
    """What became of one batch, or of all batches together, as their receipts say."""
    receipts = Receipt.objects.all()
    if answer is not None:
        receipts = receipts.filter(batch_id=UUID(answer.json()["batchId"]))
    sums = dict.fromkeys(OUTCOMES, 0)
    for receipt in receipts:
        for name in OUTCOMES:
            sums[name] += getattr(receipt, name)
    return {name: count for name, count in sums.items() if count}


def codes():
    """The codes of all dead letters, sorted, each as often as there are letters."""
    return sorted(DeadLetter.objects.values_list("code", flat=True))


def rows():
    """All usage events in the order of their totals and positions."""
    return list(UsageEvent.objects.order_by("running_total_id", "position", "id"))


def the_total():
    """The only running total there is."""
    return RunningTotal.objects.get()


def inbox():
    return list(InboxBatch.objects.all())


def billed(**chosen):
    """Totals (all that there are) as a bill run leaves them: what comes later is late for them."""
    RunningTotal.objects.filter(**chosen).update(
        billed_position=F("position"),
        billed_quantity=F("quantity"),
        billed_event_count=F("event_count"),
        billed_revenue=F("revenue"),
    )
