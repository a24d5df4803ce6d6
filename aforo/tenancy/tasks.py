"""Periodic work of tenancy. Every task may run twice."""

from contextlib import suppress

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from aforo.errors import Unavailable
from aforo.tenancy.key_use import take_uses
from aforo.tenancy.services import token_keys, tokens
from aforo.tenancy.services.key_uses import write_uses


@shared_task(name="tenancy.note_key_use", time_limit=60, soft_time_limit=50)
def note_key_use() -> int:
    """Write what the doors noted since the last time; a use that is lost is noted again soon."""
    return write_uses(take_uses())


@shared_task(
    name="tenancy.keep_tokens",
    autoretry_for=(OperationalError,),
    max_retries=1,
    time_limit=60,
    soft_time_limit=50,
    expires=30,
)
def keep_tokens() -> int:
    """Turn the keys that sign tokens and tell Redis again which are blocked; is right if repeated.

    Redis away is not an error: it is told in half a minute.
    """
    now = timezone.now()
    token_keys.turn_keys(now=now)
    token_keys.reseal_keys()
    with suppress(Unavailable):
        return tokens.mark_blocked(now=now)
    return 0
