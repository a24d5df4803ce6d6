"""Periodic work of the API. Every task may run twice."""

from celery import shared_task
from django.utils import timezone

from aforo.api.idempotency import forget_answers


@shared_task(name="api.forget_old_answers", time_limit=300, soft_time_limit=290)
def forget_old_answers() -> int:
    """Delete answers older than a day; deleting again finds nothing."""
    return forget_answers(now=timezone.now())
