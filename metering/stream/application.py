"""The ASGI application of the stream's own process: `GET /api/v1/events/stream`, nothing else."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import django
import structlog
from django.conf import settings
from django.db import connections
from django.http import HttpResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")
django.setup()

from aforo.api.problems import (  # noqa: E402  # settings come first
    NotAllowed,
    Unexpected,
    expected_error,
    problem_response,
)
from aforo.errors import AforoError, NotFound, TooMany, Unreadable  # noqa: E402
from metering.ingest.live import Step  # noqa: E402
from metering.stream import access  # noqa: E402
from metering.stream.access import Access  # noqa: E402
from metering.stream.hub import Hub, Listener  # noqa: E402

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEARTBEAT_SECONDS = 15.0
log = structlog.get_logger(__name__)
_FROM_ANYWHERE = [  # no cookie opens a stream, so no page can misuse somebody's
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-headers", b"authorization, last-event-id, x-tenant-id"),
    (b"access-control-allow-methods", b"GET"),
]
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    *_FROM_ANYWHERE,
]
_RETRY = b"retry: 3000\n\n"
_GREETING = b": listening; what came before is not told again\n\n"


async def still_open(accesses: Collection[Access]) -> set[Access]:
    return await asyncio.to_thread(_in_database, access.still_open, accesses)


def _in_database(question: Callable[..., Any], *about: Any) -> Any:
    """Ask in a thread, and give its connection back."""
    try:
        return question(*about)
    finally:
        connections.close_all()


class Application:
    """One process: its hub lives as long as it does."""

    def __init__(self) -> None:
        self.hub: Hub | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._live(receive, send)
            case "http":
                await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        hub = self._started()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await hub.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _started(self) -> Hub:
        if self.hub is None:
            most = settings.STREAM_LISTENERS
            self.hub = Hub(settings.REDIS_URL, still_open, most_of_a_tenant=most)
            self.hub.start()
        return self.hub

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/healthz":
            await _send_whole(
                send, HttpResponse(b'{"status": "UP"}', content_type="application/json")
            )
        elif scope["path"] == access.PATH and scope["method"] == "OPTIONS":
            await _send_whole(send, HttpResponse(status=HTTPStatus.NO_CONTENT))
        else:
            try:
                listener = await self._admitted(scope)
            except Exception as error:  # noqa: BLE001  # told as a problem, whatever it is
                await _send_whole(send, problem_response(_told(error)))
            else:
                await self._stream(listener, receive, send)

    async def _admitted(self, scope: Scope) -> Listener:
        """The listener that a request makes; raises what the answer should be instead."""
        if scope["path"] != access.PATH:
            raise NotFound(f"there is nothing at {scope['path']}")
        if scope["method"] != "GET":
            raise NotAllowed("a stream is opened by GET")
        asked = {name: values[-1] for name, values in _query(scope).items()}
        types = frozenset(filter(None, asked.get("types", "").upper().split(",")))
        if unknown := types - set(Step):
            raise Unreadable(f"types: there is no {', '.join(sorted(unknown))}")
        own = await asyncio.to_thread(_in_database, _access_of, dict(scope["headers"]), asked)
        own.require_own(asked.get("customerId", ""))
        if self._started().is_full(own.tenant_id):
            most = settings.STREAM_LISTENERS
            raise TooMany(f"{most} streams of this tenant are open already", retry_after=10)
        return Listener(own, types, asked.get("customerId", ""), asked.get("metric", ""))

    async def _stream(self, listener: Listener, receive: Receive, send: Send) -> None:
        hub = self._started()
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: listener.end("GONE"))
        pump = asyncio.create_task(_pump(hub, listener, send))
        try:
            either: set[asyncio.Future[Any]] = {pump, listener.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hub.remove(listener)
            gone.cancel()
            pump.cancel()  # also out of a send that a slow client does not take
        if listener.ended.done() and listener.ended.result() != "GONE":
            await _send_end(send, listener.ended.result())


class _Slow(Exception):
    """A client that takes nothing: only a broken connection tells it so."""


async def _pump(hub: Hub, listener: Listener, send: Send) -> None:
    """Send what waits, and a comment when nothing did for a while."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _RETRY, "more_body": True})
    await hub.add(listener)
    piece = _GREETING
    while True:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        try:
            piece = await asyncio.wait_for(listener.waiting.get(), HEARTBEAT_SECONDS)
        except TimeoutError:
            piece = b": still here\n\n"


async def _send_end(send: Send, reason: str) -> None:
    last = f'event: end\ndata: {{"reason": "{reason}"}}\n\n'.encode()
    try:
        await asyncio.wait_for(send({"type": "http.response.body", "body": last}), 1.0)
    except TimeoutError:
        raise _Slow(reason) from None


def _told(error: Exception) -> AforoError:
    if (expected := expected_error(error)) is not None:
        return expected
    log.error("stream_failed", exc_info=error)
    return Unexpected("this is our fault and has been logged")


def _access_of(headers: dict[bytes, bytes], asked: dict[str, str]) -> Access:
    if "ticket" in asked:
        return access.by_ticket(asked["ticket"])
    tenant = headers.get(b"x-tenant-id")
    return access.by_key(headers.get(b"authorization", b""), tenant.decode() if tenant else None)


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode(errors="replace"))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_whole(send: Send, response: HttpResponse) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    start = {"type": "http.response.start", "status": response.status_code}
    await send(start | {"headers": [*headers, *_FROM_ANYWHERE]})
    await send({"type": "http.response.body", "body": response.content})


application = Application()
