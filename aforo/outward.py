"""Requests to servers of other people: to public addresses, within a time and a size."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

import httpx
from django.conf import settings

from aforo.addresses import Address, Addresses, Crowded, find, is_public

MAX_ANSWER_BYTES = 1_000_000
_LONG = 60  # seconds; each request has its own, shorter time


class NotSendable(ValueError):
    """An address that nothing is sent to: no https, or of a private network."""


class Unanswered(Exception):
    """No answer: no connection, too slow, too long."""


class Answer(NamedTuple):
    """What came back, whole."""

    status: int
    body: bytes
    retry_after: str = ""  # as it was said


def require_sendable(url: str) -> None:
    """Raise NotSendable unless `url` is https with a host, and no literal private address.

    `AFORO_PRIVATE_DESTINATIONS` lets http and private networks pass: for development, or for
    engines beside this server.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise NotSendable(f"is no URL: {error}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise NotSendable("is no URL of https")
    if settings.PRIVATE_DESTINATIONS:
        return
    if parsed.scheme != "https":
        raise NotSendable("begins with https://")
    if parsed.userinfo:
        raise NotSendable("names no user and no password")
    literal = _literal(parsed.host)
    if literal is not None:
        _require_public(literal)


def post(url: str, body: bytes, *, headers: Mapping[str, str], seconds: int) -> Answer:
    """POST JSON and read the answer within `seconds`, following no redirects.

    The addresses of the host are checked and then connected to by themselves, so that a name which
    changes its mind leads nowhere else. Raises NotSendable or Unanswered.
    """
    require_sendable(url)
    parsed = httpx.URL(url)
    deadline = time.monotonic() + seconds
    reason = "no address"
    for address in _addresses(parsed, deadline):
        try:
            return _exchange(_request(parsed, address, body, headers), deadline)
        except httpx.ConnectError as error:
            reason = str(error) or type(error).__name__
        except httpx.HTTPError as error:
            raise Unanswered(str(error) or type(error).__name__) from error
    raise Unanswered(reason)


def many_posts() -> httpx.AsyncClient:
    """A client for many `post_soon`. Connections are not kept: they are checked for one name."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, limits=limits, timeout=_LONG)


async def post_soon(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    seconds: int,
    kept: int,
    owner: str = "",
) -> Answer:
    """As `post`, while others are under way; of the answer the first `kept` bytes are read.

    Raises Crowded when the name was not looked up, by the share of `owner`: nothing was tried.
    """
    require_sendable(url)
    parsed = httpx.URL(url)
    reason = "no address"
    try:
        async with asyncio.timeout(seconds) as limit:
            for address in await _addresses_soon(parsed, owner):
                try:
                    request = _request(parsed, address, body, headers)
                    response = await client.send(request, stream=True)
                    break
                except httpx.ConnectError as error:
                    reason = str(error) or type(error).__name__
            else:
                raise Unanswered(reason)
    except TimeoutError:
        raise Unanswered(f"no answer within {seconds} seconds") from None
    except httpx.HTTPError as error:
        raise Unanswered(str(error) or type(error).__name__) from error
    return _answer(response, await _first(response, kept, limit.when()))


def _request(
    url: httpx.URL, address: Address, body: bytes, headers: Mapping[str, str]
) -> httpx.Request:
    """A request to `address` that presents itself, and expects a certificate, as for the name."""
    return httpx.Request(
        "POST",
        url.copy_with(host=str(address)),
        content=body,
        headers={
            "Host": url.netloc.decode("ascii").rpartition("@")[2],
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # what is packed has no size that can be trusted
            **headers,
        },
        extensions={"sni_hostname": url.host},
    )


async def _first(response: httpx.Response, kept: int, until: float | None) -> bytes:
    """What comes of a body until there is enough, or time is up; the rest is nobody's business.

    Its status is there, which says all: a body that breaks off, or never ends, takes none of it.
    """
    found = bytearray()
    try:
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout_at(until):
                async for piece in response.aiter_raw():
                    found += piece
                    if len(found) >= kept:
                        break
    finally:
        await response.aclose()
    return bytes(found[:kept])


def _exchange(request: httpx.Request, deadline: float) -> Answer:
    left = max(0.001, deadline - time.monotonic())
    with httpx.Client(timeout=left, follow_redirects=False, trust_env=False) as client:
        request.extensions = {**request.extensions, "timeout": httpx.Timeout(left).as_dict()}
        response = client.send(request, stream=True)
        try:
            return _answer(response, b"".join(_read(response, deadline)))
        finally:
            response.close()


def _answer(response: httpx.Response, body: bytes) -> Answer:
    return Answer(response.status_code, body, response.headers.get("Retry-After", ""))


def _read(response: httpx.Response, deadline: float) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_raw():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise Unanswered(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
        if time.monotonic() > deadline:
            raise Unanswered("the answer did not end in time")
        yield chunk


def _addresses(url: httpx.URL, deadline: float) -> Addresses:
    try:
        found = _look_up(url).result(max(0.001, deadline - time.monotonic()))
    except TimeoutError:
        raise Unanswered(f"no address for {url.host} in time") from None
    except (OSError, ValueError) as error:
        raise Unanswered(f"no address for {url.host}: {error}") from error
    return _allowed(found)


async def _addresses_soon(url: httpx.URL, owner: str) -> Addresses:
    """As `_addresses`, for as long as the caller waits."""
    try:
        found = await asyncio.wrap_future(_look_up(url, owner))
    except Crowded:
        raise
    except (OSError, ValueError) as error:
        raise Unanswered(f"no address for {url.host}: {error}") from error
    return _allowed(found)


def _look_up(url: httpx.URL, owner: str = "") -> Future[Addresses]:
    port = url.port or (443 if url.scheme == "https" else 80)
    return find(url.host, port, owner=owner)


def _allowed(addresses: Addresses) -> Addresses:
    if not settings.PRIVATE_DESTINATIONS:
        for address in addresses:
            _require_public(address)
    return addresses


def _require_public(address: Address) -> None:
    if not is_public(address):
        raise NotSendable(f"leads to {address}, which is not public")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
