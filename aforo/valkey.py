"""The Redis of this process: one pool, and no call that can hang."""

from functools import cache

from django.conf import settings
from redis import Redis

_TIMEOUT_SECONDS = 1.0  # a server that does not answer must not hold a web thread


@cache
def client() -> Redis:
    """The client of this process; safe among threads and across a fork, answers are bytes."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
    )
