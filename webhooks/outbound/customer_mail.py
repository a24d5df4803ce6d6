"""E-mail to customers about their own usage: one letter for each fact that is meant for them."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from aforo.outbox.models import OutboxMessage
from aforo.queue import enqueue
from aforo.tenancy.models import Tenant
from catalog.models import Customer
from catalog.pricing.dimensions import label_of
from webhooks.models import CustomerLetter
from webhooks.models.alert_rules import Channel
from webhooks.outbound.alerts import customer_of, wish_of

TASK = "webhooks.write_to_customers"
PAGE = 50  # letters over one connection; `EMAIL_TIMEOUT` ends each
LEASE = timedelta(minutes=15)  # longer than a page takes whose every letter hangs
RETRIES = tuple(timedelta(minutes=one) for one in (1, 10, 60, 360, 1440))
LOST = (OperationalError, InterfaceError)  # nobody's fault, and over soon
AWAY = (OSError, SMTPException)  # the server of mail
_LONGEST_ERROR = 400
State = CustomerLetter.State
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


def send_letters(*, now: datetime) -> int:
    """Send what is due; how many were taken. May run twice: a letter is leased before it is sent.

    A worker that is killed in between sends it again after the lease. While the server of mail
    is away nothing was tried: all wait a minute.
    """
    sent = 0
    while page := _leased(now):
        post = get_connection()
        try:
            post.open()
        except AWAY as error:
            _wait(page, error, now)
            return sent
        try:
            sent += sum(_send(letter, post, now) for letter in page)
        finally:
            _close(post)
    return sent


def _wait(page: Sequence[CustomerLetter], error: Exception, now: datetime) -> None:
    log.warning("mail_server_away", letters=len(page), error=str(error))
    rows = CustomerLetter.objects.filter(pk__in=[one.pk for one in page])  # any tenant: these
    rows.update(
        attempts=F("attempts") - 1,
        next_attempt_at=now + RETRIES[0],
        last_error=str(error)[:_LONGEST_ERROR],
    )


def _close(post: Any) -> None:
    """What was sent is sent, however the server takes leave."""
    with suppress(*AWAY):
        post.close()


def forget_letters(*, now: datetime) -> int:
    """Delete letters that were finished longer ago than deliveries are kept."""
    if not settings.KEEP_DELIVERIES_DAYS:
        return 0
    before = now - timedelta(days=settings.KEEP_DELIVERIES_DAYS)
    gone, _ = CustomerLetter.objects.filter(finished_at__lt=before).delete()  # any tenant: a sweep
    return gone


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
        title=_one_line(title)[:200],
        text=text,
        told_at=message.created_at,
        next_attempt_at=now,
        created_at=now,
    )
    return True


def _one_line(title: str) -> str:
    """What others wrote into it is no header."""
    return " ".join(title.split())


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


@transaction.atomic
def _leased(now: datetime) -> list[CustomerLetter]:
    due = CustomerLetter.objects.filter(  # any tenant: a sweep
        state=State.WAITING, next_attempt_at__lte=now
    )
    page = list(due.order_by("pk").select_for_update(skip_locked=True)[:PAGE])
    rows = CustomerLetter.objects.filter(pk__in=[one.pk for one in page])  # any tenant: these
    rows.update(next_attempt_at=now + LEASE, attempts=F("attempts") + 1)
    return page


def _send(letter: CustomerLetter, post: Any, now: datetime) -> bool:
    """Whether it was taken; else it is tried again later, and given up in the end."""
    tried = letter.attempts  # before this one
    try:
        title = _one_line(letter.title)
        EmailMessage(title, letter.text, to=[letter.address], connection=post).send()
    except (*AWAY, ValueError) as error:
        log.warning("customer_letter_failed", letter=str(letter.pk), error=str(error))
        letter.last_error = str(error)[:_LONGEST_ERROR]
        if tried < len(RETRIES):
            letter.next_attempt_at = now + RETRIES[tried]
        else:
            letter.state, letter.finished_at = State.FAILED, now
    else:
        letter.state, letter.finished_at, letter.last_error = State.SENT, now, ""
        letter.next_attempt_at = now
    letter.attempts = tried + 1
    letter.save(update_fields=["state", "finished_at", "last_error", "next_attempt_at", "attempts"])
    return bool(letter.state == State.SENT)
