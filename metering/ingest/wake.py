"""Waking the drain: one message per shard at a time; a lost one costs two seconds."""

import redis
import structlog
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from aforo import valkey

# What a broker that goes away in the middle of a message may raise.
AWAY = (redis.RedisError, OperationalError, OSError)
log = structlog.get_logger(__name__)
FLAG_SECONDS = 5  # a flag whose message was lost dies by itself
DRAIN = "metering.drain_inbox"


def wake(bucket: int) -> None:
    """Ask for a drain of the bucket's shard unless one is already asked for. Never raises."""
    shard = bucket % settings.DRAIN_SHARDS
    try:
        if valkey.client().set(f"wake:{shard}", 1, nx=True, ex=FLAG_SECONDS):
            ask_for_drain(shard)
    except AWAY as error:
        log.warning("wake_failed", shard=shard, error=str(error))  # the sweep will find the row


def ask_for_drain(shard: int) -> None:
    """Queue one drain; stale messages expire, because the sweep asks again."""
    current_app.send_task(DRAIN, kwargs={"shard": shard}, retry=False, expires=30)


def lower_flag(shard: int) -> None:
    """From here on a new row needs a new message. Never raises."""
    try:
        valkey.client().delete(f"wake:{shard}")
    except redis.RedisError as error:
        log.warning("wake_flag_stays", shard=shard, error=str(error))  # it dies by itself
