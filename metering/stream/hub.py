"""Carries the notices of drains from Redis to all listeners of this process."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import redis.asyncio
import structlog
from redis.exceptions import RedisError

from metering.ingest.live import ASK_EVERY, CHANNEL, LISTENED, Notice, Shown
from metering.stream.access import Access

LISTENING_FOR = 10.0  # seconds that drains believe in a listener that nobody confirms
CONFIRM_EVERY = 3.0
LOOK_EVERY = 2.0  # seconds after which a stream of a revoked key ends, at the latest
WAITING_NOTICES = 64  # of one listener; more and it is too slow
_notice = msgspec.json.Decoder(Notice)
_encode = msgspec.json.Encoder().encode
log = structlog.get_logger(__name__)
StillOpen = Callable[[Collection[Access]], Awaitable[set[Access]]]


@dataclass(eq=False, slots=True)
class Listener:
    """One open stream: what it wants, what waits for it, and why it ends."""

    access: Access
    types: frozenset[str] = frozenset()
    customer: str = ""
    metric: str = ""
    waiting: asyncio.Queue[bytes] = field(
        default_factory=lambda: asyncio.Queue(maxsize=WAITING_NOTICES)
    )
    ended: asyncio.Future[str] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def wants(self, shown: Shown) -> bool:
        return (
            (not self.types or shown.type in self.types)
            and (not self.customer or shown.customerId == self.customer)
            and (not self.access.names or shown.customerId in self.access.names)
            and (not self.metric or shown.metricName == self.metric)
        )

    def take(self, text: bytes) -> None:
        try:
            self.waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.end("SLOW")

    def end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


class Hub:
    """All listeners of this process, and the tasks that serve them."""

    def __init__(self, url: str, still_open: StillOpen, *, most_of_a_tenant: int) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=2.0, health_check_interval=10
        )
        self._still_open = still_open
        self._most = most_of_a_tenant
        self._listeners: dict[UUID, set[Listener]] = {}
        self._known_at: dict[UUID, float] = {}  # when every drain has asked who listens
        self._is_subscribed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for work in (self._read, self._confirm_always, self._look_always):
            self._tasks.append(asyncio.create_task(work()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end("CLOSING")
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    def is_full(self, tenant_id: UUID) -> bool:
        return len(self._listeners.get(tenant_id, ())) >= self._most

    async def add(self, listener: Listener) -> None:
        """Let it listen; when this is done, every drain knows of it and nothing is missed."""
        tenant_id = listener.access.tenant_id
        if tenant_id not in self._listeners:
            self._known_at[tenant_id] = time.monotonic() + 1.1 * ASK_EVERY
        self._listeners.setdefault(tenant_id, set()).add(listener)
        await self._confirm()
        await self._is_subscribed.wait()
        await asyncio.sleep(self._known_at.get(tenant_id, 0.0) - time.monotonic())

    def remove(self, listener: Listener) -> None:
        listeners = self._listeners.get(listener.access.tenant_id, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(listener.access.tenant_id, None)
            self._known_at.pop(listener.access.tenant_id, None)

    def deliver(self, tenant_id: UUID, payload: bytes) -> None:
        """Hand one notice to each listener, as far as it wants it."""
        listeners = self._listeners.get(tenant_id)
        if not listeners:
            return
        notice = _notice.decode(payload)
        frames = [(shown, _frame(shown)) for shown in notice.events]
        counts = b"event: counts\ndata: " + _encode(notice.counts) + b"\n\n"
        for listener in list(listeners):
            wanted = [frame for shown, frame in frames if listener.wants(shown)]
            if not listener.access.names:  # the counts are of the whole tenant
                wanted.append(counts)
            if wanted:
                listener.take(b"".join(wanted))

    # --- the tasks ----------------------------------------------------------------------

    async def _read(self) -> None:
        """Everything that is published, of all tenants: it is only published where one listens."""
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.psubscribe(f"{CHANNEL}*")
                    async for message in subscription.listen():
                        self._is_subscribed.set()  # the first one says so
                        if message["type"] == "pmessage":
                            tenant = message["channel"].decode().removeprefix(CHANNEL)
                            self.deliver(UUID(tenant), message["data"])
            except (RedisError, OSError, ValueError, msgspec.MsgspecError) as error:
                self._is_subscribed.clear()
                log.warning("live_stream_cut_off", error=str(error))
                await asyncio.sleep(1.0)

    async def _confirm_always(self) -> None:
        while True:
            await self._confirm()
            await asyncio.sleep(CONFIRM_EVERY)

    async def _confirm(self) -> None:
        """Tell the drains who is listened to; those that nobody confirms are forgotten."""
        now = time.time()
        until = {str(tenant_id): now + LISTENING_FOR for tenant_id in self._listeners}
        with contextlib.suppress(RedisError, OSError):  # tried again in a moment
            if until:
                await self._redis.zadd(LISTENED, until)
            await self._redis.zremrangebyscore(LISTENED, "-inf", now)

    async def _look_always(self) -> None:
        """End the streams of keys that were revoked and of people who may not any more."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            everybody = [one for listeners in self._listeners.values() for one in listeners]
            if not everybody:
                continue
            try:
                still = await self._still_open({listener.access for listener in everybody})
            except Exception as error:  # noqa: BLE001  # the database is away: look again soon
                log.warning("live_stream_access_unknown", error=str(error))
                continue
            for listener in everybody:
                if listener.access not in still:
                    listener.end("REVOKED")


def _frame(shown: Shown) -> bytes:
    name = f"id: {shown.batchId}:{shown.index}\nevent: {shown.type}\ndata: "
    return name.encode() + _encode(shown) + b"\n\n"
