"""One round trip to Redis per access check: the key's entry, the tenant's settings, customers.

Without Redis the key is looked up in PostgreSQL, and nothing is known of anybody. Without both, the
tenant of a key that was seen before is known all the same, and what it wants then.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from aforo.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from aforo.tenancy.key_entries import ENTRIES_WHOLE, REVOKED, entry_of, entry_text, is_called
from aforo.tenancy.key_use import note_use
from catalog import aliases
from metering.entitlements import reading
from metering.entitlements.reading import Asking, Seen

ENTRY_SECONDS = 300  # an entry's settings are read again after these; revoking needs no waiting
REDIS_SECONDS = 0.03  # gateways wait 50 ms for the whole answer
SILENT_SECONDS = 0.5  # without Redis, so long nobody waits for it again
MOST_LATE = 5  # answers in a row; fewer say nothing of Redis, only of what was asked
MOST_REMEMBERED = 50_000
_KEY = """
    SELECT k.id, k.tenant_id, t.slug, t.access_fallback, coalesce(c.external_id, '')
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    LEFT JOIN subscription_keys b ON b.key_id = k.id
    LEFT JOIN subscriptions s ON s.id = b.subscription_id
    LEFT JOIN customers c ON c.id = s.customer_id
    WHERE k.digest = %s AND k.kind = 'METERING' AND k.revoked_at IS NULL
"""
# In whatever letters, and as it is written before as it is not.
_TENANT = """
    SELECT id, slug, access_fallback FROM tenants
    WHERE lower(slug) = %(name)s OR id::text = %(name)s
    ORDER BY slug = %(written)s DESC, created_at LIMIT 1
"""
Key = TypeVar("Key")
Value = TypeVar("Value")
log = structlog.get_logger(__name__)


class _Memory:
    """What a process remembers: whose a key is, which never changes; whether Redis is away."""

    def __init__(self) -> None:
        self.askers: dict[bytes, Asking] = {}
        self.tenants: dict[str, tuple[float, Asking]] = {}
        self.silent_until = 0.0
        self.late = 0  # answers of Redis that were waited for in vain, since the last that came


_memory = _Memory()


def forget_everything() -> None:
    """As a process that has just started."""
    _memory.__init__()  # type: ignore[misc]
    _line.cache_clear()


def by_key(token: str, names: Sequence[str], *, tenant_header: str | None) -> Seen:
    """What is known of customers, for whoever brings this key.

    Raises Unauthenticated for a key that opens nothing at this moment, Forbidden when the header
    names another tenant, Unavailable for a key that was never seen and cannot be looked up.
    """
    digest = sha256(token.encode(errors="surrogateescape")).digest()
    asking = _memory.askers.get(digest)
    told = _look(entry_of(digest), asking, names)
    entry, mark = told[0] if told else (None, None)
    if entry == REVOKED:
        raise _closed(digest)
    if entry is None or asking is None:
        try:
            asking = _authenticated(digest, entry, is_redis_there=told is not None)
            told = told and _look("", asking, names)
        except Unavailable:
            if mark is not None:
                raise _closed(digest) from None  # every open key has an entry
            if asking is None:
                raise
            told = None  # it may have been revoked: nothing is told of anybody
    if tenant_header and not is_called(tenant_header, tenant_id=asking.tenant_id, slug=asking.slug):
        raise Forbidden("X-Tenant-Id names another tenant than the API key")
    if asking.key_id is not None:
        note_use(asking.key_id, timezone.now())
    return _seen(asking, told, names)


def _closed(digest: bytes) -> Unauthenticated:
    """Of a key that is known to be closed: nothing that was known of it may answer for it again."""
    _memory.askers.pop(digest, None)
    return Unauthenticated("this API key opens nothing here")


def by_tenant(name: str, names: Sequence[str]) -> Seen:
    """The same for who need no key: `name` is the id or the slug of a tenant.

    Raises NotFound, and Unavailable for a tenant that was never seen and cannot be looked up.
    """
    read_at, asking = _memory.tenants.get(name, (0.0, None))
    if asking is None or time.monotonic() - read_at > ENTRY_SECONDS:
        try:
            asking = _tenant(name)
            _remember(_memory.tenants, name, (time.monotonic(), asking))
        except Unavailable:
            if asking is None:
                raise
    return _seen(asking, _look("", asking, names), names)


def _tenant(name: str) -> Asking:
    is_possible = "\x00" not in name  # no row holds a nul character
    rows = _sql(_TENANT, {"name": name.lower(), "written": name}) if is_possible else []
    if not rows:
        raise NotFound("X-Tenant-Id names no tenant")
    tenant_id, slug, fallback = rows[0]
    return Asking(tenant_id, slug, fallback=fallback)


def _seen(asking: Asking, told: Sequence[Any] | None, names: Sequence[str]) -> Seen:
    return reading.seen(asking, told, names, now=time.time())


def _look(entry: str, asking: Asking | None, names: Sequence[str]) -> Sequence[Any] | None:
    """What the script returns, of an entry with the mark that all are there; None without Redis."""
    if time.monotonic() < _memory.silent_until:
        return None
    arguments = [str(asking.tenant_id) if asking else ""]
    if asking:
        for name in names:
            digest = aliases.digest_in(name) or aliases.digest_of(asking.tenant_id, name)
            arguments += (name, digest.hex())
    try:
        keys = [entry, ENTRIES_WHOLE] if entry else [""]
        told: Sequence[Any] = _line().script(keys=keys, args=arguments)
    except RedisError as error:
        _note_absence(error)
        return None
    _memory.late = 0
    return told


def _note_absence(error: RedisError) -> None:
    """Ask nobody for a while where nobody listens, or hangs; one slow answer is no reason.

    A server that hangs holds each check, and the thread that ingests between checks, for as long as
    may be waited.
    """
    _memory.late += isinstance(error, RedisTimeoutError)
    if isinstance(error, RedisConnectionError) or _memory.late >= MOST_LATE:
        _memory.silent_until, _memory.late = time.monotonic() + SILENT_SECONDS, 0
    log.warning("access_without_redis", error=str(error))


def _authenticated(digest: bytes, entry: object, *, is_redis_there: bool) -> Asking:
    """Whose the key is: as its entry says, else as PostgreSQL does, in one query."""
    if isinstance(entry, bytes):
        asking = reading.asking_in(entry)
    else:
        rows = _sql(_KEY, (digest,))
        if not rows:
            raise _closed(digest)
        key_id, tenant_id, slug, fallback, customer = rows[0]
        asking = Asking(tenant_id, slug, key_id, fallback, customer)
        if is_redis_there:
            _keep_entry(digest, asking)
    _remember(_memory.askers, digest, asking)
    return asking


def _keep_entry(digest: bytes, asking: Asking) -> None:
    """Not where revoking has left its mark meanwhile: what was read before is not true any more."""
    text = entry_text(
        key_id=asking.key_id,
        tenant_id=asking.tenant_id,
        slug=asking.slug,
        fallback=asking.fallback,
        customer=asking.customer,
    )
    try:
        _line().client.set(entry_of(digest), text, nx=True, ex=ENTRY_SECONDS)
    except RedisError:
        return


def _sql(statement: str, arguments: Sequence[bytes] | Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Outside of Django's requests, whose ends look after connections. Raises Unavailable."""
    is_within = connection.in_atomic_block
    if not is_within:
        close_old_connections()
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
    except (OperationalError, InterfaceError) as error:
        log.warning("access_without_postgresql", error=str(error))
        raise Unavailable("this cannot be looked up at the moment") from error
    finally:
        if not is_within:
            close_old_connections()


def _remember(known: dict[Key, Value], key: Key, value: Value) -> None:
    if len(known) >= MOST_REMEMBERED:
        known.clear()
    known[key] = value


class _Line(threading.local):
    """A connection of this thread's own: taking one from a pool costs as much as a check."""

    def __init__(self) -> None:
        self.client = Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            # A closed connection is opened again; who was late is not waited for twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            single_connection_client=True,
        )
        self.script = self.client.register_script(reading.LOOK)


@cache
def _line() -> _Line:
    return _Line()
