"""The Redis of this process: one pool, and no call that can hang."""

from functools import cache

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_TIMEOUT_SECONDS = 1.0  # a server that does not answer must not hold a web thread


@cache
def client() -> Redis:
    """The client of this process; safe among threads and across a fork, answers are bytes."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        # Once more at once, for a pooled connection whose server was restarted. By default ten
        # times with pauses: four seconds for each call while the server is away.
        retry=Retry(NoBackoff(), 1),
    )
