"""Background entry points of pushes coming in: fetch nothing, decide nothing, call a service."""

from uuid import UUID

from celery import shared_task
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from webhooks.outbound import endpoint_secrets
from webhooks.services import forgetting, secrets, sweeping, trying, watching

HEALS = (OperationalError, InterfaceError)  # deadlock or lost connection; bugs must surface


@shared_task(name="webhooks.map_delivery", autoretry_for=HEALS, retry_backoff=True, max_retries=5)
def map_delivery(delivery_id: str, *, again: bool = False) -> None:
    """May run twice: a push is mapped under its lock, and then it waits no longer."""
    trying.map_or_park(delivery_id=UUID(delivery_id), now=timezone.now(), again=again)


@shared_task(name="webhooks.ask_again", expires=10)
def ask_again() -> None:
    """May run twice: it only asks."""
    sweeping.ask_again(now=timezone.now())


@shared_task(name="webhooks.forget_pushes", autoretry_for=HEALS, expires=3600)
def forget_pushes() -> None:
    """May run twice: what is forgotten is forgotten."""
    forgetting.forget_pushes(now=timezone.now())


@shared_task(name="webhooks.watch_sources", autoretry_for=HEALS, expires=60)
def watch_sources() -> None:
    """May run twice: the row of a source says that it was told."""
    watching.watch_sources(now=timezone.now())


@shared_task(name="webhooks.reseal_secrets", autoretry_for=HEALS, expires=3600)
def reseal_secrets() -> None:
    """May run twice: what the key of today has sealed is left alone."""
    secrets.reseal_all()
    endpoint_secrets.reseal_all()
