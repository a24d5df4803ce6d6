"""Finding pushes that wait longer than they should: their message was lost, or a worker killed."""

from datetime import datetime, timedelta

from aforo.queue import enqueue
from webhooks.models import WebhookDelivery
from webhooks.services.deliveries import MAPPING
from webhooks.services.pushes import Verdict

PATIENCE = timedelta(seconds=5)  # a worker that lives has mapped it by then
AT_ONCE = 500


def ask_again(*, now: datetime) -> int:
    """Ask for the mapping of what waits, the oldest first; how many there were."""
    waiting = WebhookDelivery.objects.filter(verdict=Verdict.RECEIVED)  # any tenant: all of them
    late = waiting.filter(arrived_at__lt=now - PATIENCE).order_by("id")
    ids = list(late.values_list("pk", flat=True)[:AT_ONCE])
    for delivery_id in ids:
        enqueue(MAPPING, delivery_id=str(delivery_id))
    return len(ids)
