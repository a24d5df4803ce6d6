"""Background entry points of webhooks going out. Each may run twice."""

from uuid import UUID

from celery import shared_task
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from aforo.outbox import waking
from webhooks.outbound import customer_mail, keeping, owners, pump

HEALS = (OperationalError, InterfaceError)  # deadlock or lost connection; bugs must surface


@shared_task(name=waking.CARRY, expires=30)
def carry() -> None:
    """May run twice: the second goes away again. Not repeated: Beat asks every five seconds."""
    if not pump.carry_out(now=timezone.now).is_done:
        waking.wake()


@shared_task(name=owners.TASK, autoretry_for=(OSError,), retry_backoff=30, max_retries=8)
def tell_owners(endpoint_id: str, address: str = "") -> None:
    """May run twice: then the e-mail comes twice."""
    owners.tell_owners(endpoint_id=UUID(endpoint_id), address=address)


@shared_task(name=customer_mail.TASK, autoretry_for=HEALS, expires=60)
def write_to_customers() -> None:
    """May run twice: the second goes away again. Beat asks each minute."""
    customer_mail.send_letters(now=timezone.now)


@shared_task(name="webhooks.forget_deliveries", autoretry_for=HEALS, expires=3600)
def forget_deliveries() -> None:
    """May run twice: what is gone is gone."""
    keeping.forget_deliveries(now=timezone.now())
    customer_mail.forget_letters(now=timezone.now())
