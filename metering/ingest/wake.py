"""Waking the drain: one message per shard at a time; a lost one costs two seconds."""

import time
from uuid import UUID

import redis
import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from aforo import valkey
from metering.ingest.inbox import bucket_of

# What a broker that goes away in the middle of a message may raise.
AWAY = (redis.RedisError, OperationalError, OSError)
log = structlog.get_logger(__name__)
SILENCE = 1.0  # seconds without a try after one that failed
FLAG_SECONDS = 5  # a flag whose message was lost dies by itself
DRAIN = "metering.drain_inbox"


class Waker:
    """What one process asks for. A Redis that hangs costs it one time limit a second, not each."""

    def __init__(self) -> None:
        self._silent_until = 0.0

    def wake(self, bucket: int) -> None:
        """Ask for a drain of the bucket's shard unless one is already asked for. Never raises."""
        if time.monotonic() < self._silent_until:
            return
        shard = bucket % settings.DRAIN_SHARDS
        try:
            if valkey.client().set(f"wake:{shard}", 1, nx=True, ex=FLAG_SECONDS):
                ask_for_drain(shard)
        except AWAY as error:
            self._silent_until = time.monotonic() + SILENCE
            log.warning("wake_failed", shard=shard, error=str(error))  # the sweep finds the row


wake = Waker().wake


def after_commit(tenant_id: UUID) -> None:
    """Ask for a drain of what the caller's transaction puts into the inbox, once that stands."""
    transaction.on_commit(lambda: wake(bucket_of(tenant_id)), robust=True)


def ask_for_drain(shard: int) -> None:
    """Queue one drain; stale messages expire, because the sweep asks again."""
    current_app.send_task(
        DRAIN,
        kwargs={"shard": shard},
        retry=False,
        expires=30,
        ignore_result=True,  # nobody waits for it: no subscription to a result per wake-up
    )


def lower_flag(shard: int) -> None:
    """From here on a new row needs a new message. Never raises."""
    try:
        valkey.client().delete(f"wake:{shard}")
    except redis.RedisError as error:
        log.warning("wake_flag_stays", shard=shard, error=str(error))  # it dies by itself
