"""Hears of revoked keys as they are told: what is remembered of one is let go of at once."""

import time
from threading import Event, Thread

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.exceptions import RedisError
from redis.retry import Retry

from aforo.edge.memory import Memory
from aforo.tenancy.key_entries import ENTRIES_WHOLE, REVOCATIONS

BEAT_SECONDS = 0.5  # between questions whether the line still holds
SILENT_SECONDS = 2.0  # without an answer to them: nothing is heard any more
log = structlog.get_logger(__name__)


class Revocations:
    """A thread that listens, and comes back after whatever cut it off."""

    def __init__(self, url: str, memory: Memory) -> None:
        self._memory = memory
        self._since: float | None = None
        self._answered_at = 0.0
        self.are_keys_written = False  # of late: else new ones are not known here
        self._stopping = Event()
        self._client = Redis.from_url(
            url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        self._thread = Thread(target=self._run, name="revocations", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def heard_since(self) -> float | None:
        """Since when (monotonic) nothing can have been missed; None: something may be now."""
        if time.monotonic() - self._answered_at > SILENT_SECONDS:
            return None
        return self._since

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._client.pubsub() as heard:  # type: ignore[no-untyped-call]  # has none
                    self._listen(heard)
            except (RedisError, OSError) as error:
                if self._since is not None:
                    log.warning("edge_hears_nothing", error=str(error))
                self._since = None
                self._stopping.wait(BEAT_SECONDS)

    def _listen(self, heard: PubSub) -> None:
        heard.subscribe(REVOCATIONS)
        asked_at = 0.0
        while not self._stopping.is_set():
            if time.monotonic() - asked_at >= BEAT_SECONDS:
                asked_at = time.monotonic()
                heard.ping()
                # A replica without its master refuses this.
                self.are_keys_written = bool(self._client.exists(ENTRIES_WHOLE))
            message = heard.get_message(timeout=BEAT_SECONDS)
            if message is not None:
                self._take(message)

    def _take(self, message: dict[str, object]) -> None:
        """Whatever comes says that the line holds."""
        self._answered_at = time.monotonic()
        if message["type"] == "subscribe":
            self._since = self._answered_at
            log.info("edge_hears_revocations")
        elif message["type"] == "message":
            told = message["data"]
            self._memory.revoke(bytes.fromhex(told.decode() if isinstance(told, bytes) else ""))
