"""Waking whoever carries messages out, once for many of them; a lost wake costs five seconds."""

import redis
import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from aforo import valkey

CARRY = "webhooks.carry"
FLAG = "wake:webhooks"
FLAG_SECONDS = 5  # a flag whose message was lost dies by itself
AWAY = (redis.RedisError, OperationalError, OSError)
log = structlog.get_logger(__name__)


def after_commit() -> None:
    """Ask that what the caller's transaction publishes be carried out, once that stands."""
    transaction.on_commit(wake, robust=True)


def wake() -> None:
    """Ask for a carrier unless one is asked for already. Never raises."""
    try:
        if valkey.client().set(FLAG, 1, nx=True, ex=FLAG_SECONDS):
            current_app.send_task(CARRY, retry=False, expires=30, ignore_result=True)
    except AWAY as error:
        log.warning("wake_failed", task=CARRY, error=str(error))  # Beat's sweep finds the row


def lower_flag() -> None:
    """From here on a new message needs a new wake. Never raises."""
    try:
        valkey.client().delete(FLAG)
    except redis.RedisError as error:
        log.warning("wake_flag_stays", task=CARRY, error=str(error))  # it dies by itself
