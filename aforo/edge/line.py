"""The way to Redis: no answer within 30 ms is none, and who refuses is left alone for a while."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import ConnectionError as Refused
from redis.exceptions import RedisError
from redis.retry import Retry

from aforo.tenancy.key_entries import ENTRIES_WHOLE, TENANTS
from metering.entitlements.reading import LOOK

SECONDS = 0.03  # gateways wait 50 ms for an answer, and shall get one from memory
SILENT_SECONDS = 0.5
MISSES_IN_A_ROW = 3  # that are as bad as a refusal: one slow answer silences nobody
log = structlog.get_logger(__name__)


class Away(Exception):
    """Redis does not answer."""


class Line(threading.local):
    """A connection of each thread's own: taking one from a pool costs as much as a check."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._silent_until = 0.0
        self._misses = 0
        self._is_away = False

    def look(
        self, tenant_id: object, named: Sequence[tuple[str, bytes]], *, entry: str = ""
    ) -> Sequence[Any]:
        """What the script tells: of customers, by external id or digest of another name.

        Before it, of an entry: what it says, and the mark that all keys have one.
        """
        arguments = [str(tenant_id)]
        for name, digest in named:
            arguments += (name, digest.hex())
        keys = [entry, ENTRIES_WHOLE] if entry else [""]
        told: Sequence[Any] = self._asked(lambda: self._look(keys=keys, args=arguments))
        return told

    def tenant(self, name: str) -> bytes | None:
        """The entry of a tenant's slug, in whatever letters, or id."""
        found = self._asked(lambda: self._client.hmget(TENANTS, name, name.lower()))
        of_name: bytes | None = found[0] or found[1]
        return of_name

    @property
    def is_answered(self) -> bool:
        """Whether the last question was, or none was put yet."""
        return not self._misses

    @cached_property
    def _client(self) -> Redis:
        """Connects at once: only where it may fail."""
        return Redis.from_url(
            self._url,
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
            retry=Retry(NoBackoff(), 1, supported_errors=(Refused,)),  # a server that came back
            single_connection_client=True,
        )

    @cached_property
    def _look(self) -> Script:
        return self._client.register_script(LOOK)

    def _asked(self, question: Callable[[], Any]) -> Any:
        if time.monotonic() < self._silent_until:
            raise Away
        try:
            answer = question()
        except RedisError as error:
            self._miss(error)
            raise Away from error
        self._misses, self._is_away = 0, False
        return answer

    def _miss(self, error: RedisError) -> None:
        self._misses += 1
        if not isinstance(error, Refused) and self._misses < MISSES_IN_A_ROW:
            return
        self._silent_until = time.monotonic() + SILENT_SECONDS
        if not self._is_away:
            log.warning("edge_without_redis", error=str(error))
        self._is_away = True
