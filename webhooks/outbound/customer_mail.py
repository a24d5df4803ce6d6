"""E-mail to customers about their own usage: one letter for each fact that is meant for them."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from aforo.outbox.models import OutboxMessage
from aforo.queue import enqueue
from aforo.tenancy.models import Tenant
from catalog.models import Customer
from catalog.pricing.dimensions import label_of
from webhooks.models import CustomerLetter
from webhooks.models.alert_rules import Channel
from webhooks.outbound.alerts import customer_of, wish_of
from webhooks.outbound.faults import LOST
from webhooks.outbound.letter_trips import Now, State, Trip, one_line
from webhooks.outbound.turns import LONGEST_SECONDS, alone

TASK = "webhooks.write_to_customers"
PAGE = 50  # letters leased at once; `EMAIL_TIMEOUT` ends each step of one
_ALONE = 7_305_241_004  # an advisory lock: one writer at a time, so that one worker is busy
LEASE = timedelta(minutes=15)  # longer than a page takes whose every letter hangs
log = structlog.get_logger(__name__)

_PACING = """\
Your usage of {what} is on its way to {projectedPercent} % of what your plan includes.

Used so far: {used} of {included}
At this pace, by {end}: {projected}

{beyond}

{seller}
"""
_BEYOND = {
    True: "When all that is included is used up, further use is refused until the period ends.",
    False: "What goes beyond it is priced as your plan says.",
}


def write_letters(messages: Sequence[OutboxMessage], *, now: datetime) -> int:
    """A letter for each message that is meant for its customer; how many.

    In the transaction that carries the messages, so that each is looked at once. Nobody is written
    to whose preferences leave e-mail out, nor again within their cooldown, nor from a sandbox:
    addresses there are those of people all the same. A letter that cannot be written is logged,
    and its message is carried on.
    """
    meant = [one for one in messages if _is_meant_for_customer(one)]
    if not meant:  # nearly always
        return 0
    sellers = Tenant.objects.in_bulk({one.tenant_id for one in meant})
    written = sum(_write_alone(one, sellers[one.tenant_id], now) for one in meant)
    if written:
        enqueue(TASK)
    return written


def send_letters(*, now: Now) -> int:
    """Send what is due; how many were taken. May run twice: the second goes away again.

    What the second came for is seen by a last look after the lock is free. A worker that is killed
    in between sends a letter again after its lease. After five seconds another task is asked for,
    so that one that waits for mail never keeps drains waiting.
    """
    end = time.monotonic() + LONGEST_SECONDS
    trip = Trip(end=end, now=now)
    while trip.goes_on and _due(now()).exists():
        with alone(_ALONE) as is_mine:
            if not (is_mine and _send_all(trip)):
                break
    if trip.is_late:
        enqueue(TASK)
    return trip.sent


def forget_letters(*, now: datetime) -> int:
    """Delete letters that were finished longer ago than deliveries are kept."""
    if not settings.KEEP_DELIVERIES_DAYS:
        return 0
    before = now - timedelta(days=settings.KEEP_DELIVERIES_DAYS)
    gone, _ = CustomerLetter.objects.filter(finished_at__lt=before).delete()  # any tenant: a sweep
    return gone


def _send_all(trip: Trip) -> bool:
    """Whether there was any."""
    is_any = False
    while trip.goes_on and (page := _leased(trip.now())):
        is_any = True
        trip.send(page)
    return is_any


def _due(now: datetime) -> QuerySet[CustomerLetter]:
    return CustomerLetter.objects.filter(  # any tenant: a sweep
        state=State.WAITING, next_attempt_at__lte=now
    )


@transaction.atomic
def _leased(now: datetime) -> list[CustomerLetter]:
    page = list(_due(now).order_by("pk").select_for_update(skip_locked=True)[:PAGE])
    rows = CustomerLetter.objects.filter(pk__in=[one.pk for one in page])  # any tenant: these
    rows.update(next_attempt_at=now + LEASE, attempts=F("attempts") + 1)
    return page


def _is_meant_for_customer(message: OutboxMessage) -> bool:
    audience = message.payload.get("audience")
    return (
        message.fact in _WORDINGS
        and isinstance(audience, list)
        and "CUSTOMER" in audience
        and bool(message.payload.get("customerEmail"))
    )


def _write_alone(message: OutboxMessage, seller: Tenant, now: datetime) -> bool:
    try:
        with transaction.atomic():
            return _write(message, seller, now)
    except LOST:
        raise
    except Exception:
        log.exception("customer_letter_lost", message=str(message.pk))
        return False


def _write(message: OutboxMessage, seller: Tenant, now: datetime) -> bool:
    customer = customer_of(message)
    if seller.is_sandbox or customer is None or not _wants(customer, message):
        return False
    title, text = _WORDINGS[message.fact](message.payload, seller)
    CustomerLetter.objects.create(
        tenant_id=message.tenant_id,
        customer=customer,
        message_id=message.pk,
        fact=message.fact,
        address=message.payload["customerEmail"],
        title=one_line(title)[:200],
        text=text,
        told_at=message.created_at,
        next_attempt_at=now,
        created_at=now,
    )
    return True


def _wants(customer: Customer, message: OutboxMessage) -> bool:
    wish = wish_of(customer, message.fact)
    if wish is None:
        return True
    if Channel.EMAIL not in wish.channels:
        return False
    if not wish.cooldown:
        return True
    letters = CustomerLetter.objects.for_tenant(customer.tenant_id)
    recent = letters.filter(
        customer=customer, fact=message.fact, told_at__gt=message.created_at - wish.cooldown
    )
    return not recent.exists()


def _pacing(payload: dict[str, Any], seller: Tenant) -> tuple[str, str]:
    what = payload["metric"]
    if payload.get("dimension"):
        what = f"{what} ({label_of(payload['dimension'])})"
    text = _PACING.format(
        **payload,
        what=what,
        end=f"{datetime.fromisoformat(payload['periodEnd']):%d %B %Y, %H:%M} UTC",
        beyond=_BEYOND[bool(payload["hardLimit"])],
        seller=seller.name,
    )
    return f"{what}: on the way to {payload['threshold']} % of what is included", text


_WORDINGS = {"quota.threshold_reached": _pacing}
