"""Periodic work of tenancy. Every task may run twice."""

from celery import shared_task

from aforo.tenancy.key_use import take_uses
from aforo.tenancy.services.key_uses import write_uses


@shared_task(name="tenancy.note_key_use", time_limit=60, soft_time_limit=50)
def note_key_use() -> int:
    """Write what the doors noted since the last time; a use that is lost is noted again soon."""
    return write_uses(take_uses())
