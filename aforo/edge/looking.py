"""What an edge knows of customers: from Redis, else from what it has read within `stale_seconds`.

For `fresh_seconds` what was read is used without asking, but only while revocations are heard: a
key that is revoked is let go of the moment that is told.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from math import inf
from typing import Any, NamedTuple

from aforo.edge.line import Away, Line
from aforo.edge.memory import MOST_REMEMBERED, Found, Memory, Read, recall, remember
from aforo.edge.options import Options
from aforo.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from aforo.tenancy.key_entries import REVOKED, entry_of, is_called, is_possible_key
from catalog import aliases
from metering.entitlements import reading
from metering.entitlements.decisions import Held
from metering.entitlements.reading import Asking, Seen
from metering.entitlements.state import STANDING

LONGEST_NAME = 1000  # of a customer: who brings more is nobody, and no question worth
TENANT_SECONDS = 300  # a tenant's names are read again after these, as the web process does
Names = Callable[[Asking], Sequence[str]]  # who is asked for, by whoever asks
_NOTHING: Sequence[Any] = (None, None, None, None)
_NEVER: Read[Found] = Read(-inf, (_NOTHING, ()))
_NOBODY = Held({})


class Caller(NamedTuple):
    """Who asks, and how long ago that was read, where nobody can say it now.

    Customers read since `since` were read with it. `may_ask`: whether anybody answers questions.
    """

    asking: Asking
    age: float = 0
    since: float = inf
    may_ask: bool = True


class EdgeLooking:
    """`heard_since` tells since when revocations are heard without a gap; None: they are not."""

    def __init__(
        self,
        options: Options,
        memory: Memory,
        line: Line,
        heard_since: Callable[[], float | None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._memory = memory
        self._line = line
        self._heard_since = heard_since
        self._monotonic = monotonic

    def by_key(self, token: str, names: Sequence[str], *, tenant_header: str | None) -> Seen:
        """What is known of customers, for whoever brings this key. Raises as `whose` does."""
        caller = self.whose(token, lambda _: names, tenant_header=tenant_header)
        return self.seen(caller, names)

    def by_tenant(self, name: str, names: Sequence[str]) -> Seen:
        """The same for who need no key: `name` is the id or the slug of a tenant."""
        return self.seen(self.named(name), names)

    def whose(self, token: str, names: Names, *, tenant_header: str | None) -> Caller:
        """Whose a key is; who is asked for then is read with it, where that can be.

        Raises Unauthenticated for a key that opens nothing, Forbidden when the header or the
        options name another tenant, Unavailable for a key that was never seen and cannot be asked
        for; that is Forbidden, too, where the tenant so named wants it.
        """
        if not is_possible_key(token):
            raise _closed()
        named = [name.strip().lower() for name in (self._options.keys_of, tenant_header) if name]
        try:
            caller = self._key(sha256(token.encode()).digest(), names)
        except Unavailable:
            if any(self._wants_denied(name) for name in named):
                raise Forbidden("access cannot be checked now", code="UNAVAILABLE") from None
            raise
        for name in named:
            self._require(name, caller.asking)
        return caller

    def _require(self, name: str, asking: Asking) -> None:
        """That a tenant is called so; what it wants is remembered for when no key can be read."""
        if not is_called(name, tenant_id=asking.tenant_id, slug=asking.slug):
            raise Forbidden("this API key is of another tenant than X-Tenant-Id or this edge names")
        now, tenants = self._monotonic(), self._memory.tenants
        known = tenants.get(name)
        if known is None or now - known.at >= TENANT_SECONDS:
            bare = Asking(asking.tenant_id, asking.slug, fallback=asking.fallback)
            remember(tenants, name, Read(now, bare), most=MOST_REMEMBERED)

    def _wants_denied(self, tenant: str) -> bool:
        """Whether a tenant denies what cannot be known; as it last said, however long ago.

        Who has just not answered is not asked again: gateways wait no longer.
        """
        if self._line.is_answered:
            with suppress(Unavailable, NotFound):
                self.named(tenant)
        known = recall(self._memory.tenants, tenant)
        return known is not None and known.value.fallback == "CLOSED"

    def named(self, name: str) -> Caller:
        """The tenant with this id or slug, likewise. Raises NotFound, Unavailable."""
        known, now = recall(self._memory.tenants, name), self._monotonic()
        if known and now - known.at < TENANT_SECONDS:
            return Caller(known.value)
        try:
            entry = self._line.tenant(name)
        except Away:
            return self._recalled(known, now, "this tenant is not known here yet")
        if entry is None:
            raise NotFound("X-Tenant-Id names no tenant")
        asking = reading.asking_in(entry)
        remember(self._memory.tenants, name, Read(now, asking), most=MOST_REMEMBERED)
        return Caller(asking)

    def _key(self, digest: bytes, names: Names) -> Caller:
        known, now = recall(self._memory.keys, digest), self._monotonic()
        if digest in self._memory.revoked:
            raise _closed()
        if known and self._is_fresh(known.at, now):
            return Caller(known.value)
        wanted = self._wanted(known.value, names(known.value), now) if known else ()
        try:
            entry, mark = self._read(known and known.value, wanted, now, entry=entry_of(digest))
        except Away:
            return self._recalled(known, now, "this key is not known here yet")
        if entry == REVOKED or (entry is None and mark is not None):
            self._memory.keys.pop(digest, None)
            raise _closed()
        asking, age = self._said(entry, known, now)
        if not age:
            remember(self._memory.keys, digest, Read(now, asking), most=MOST_REMEMBERED)
        if digest in self._memory.revoked:  # told after it was read
            raise _closed()
        return Caller(asking, age, now)

    def _said(
        self, entry: bytes | None, known: Read[Asking] | None, now: float
    ) -> tuple[Asking, float]:
        """What an entry says, and how old that is.

        Without one, and without the mark that all are there, nobody has written the keys of late,
        or Redis was emptied. Who hears all revocations needs no entry of a key that was open.
        """
        if entry is not None:
            return reading.asking_in(entry), 0
        since = self._heard_since()
        if known and since is not None and known.at >= since:
            return known.value, 0
        return self._recalled(known, now, "this key is not known here yet")[:2]

    def _recalled(self, known: Read[Asking] | None, now: float, otherwise: str) -> Caller:
        if known is None or now - known.at > self._options.stale_seconds:
            raise Unavailable(f"{otherwise}, and Redis cannot say")
        return Caller(known.value, now - known.at, may_ask=False)

    def seen(self, caller: Caller, names: Sequence[str]) -> Seen:
        """What is known of customers of a tenant, and how old the oldest of it is."""
        now, asking = self._monotonic(), caller.asking
        missing = self._wanted(asking, names, now, since=caller.since)
        if missing and caller.may_ask:
            with suppress(Away):
                self._read(asking, missing, now)
        possible = _possible(names)
        read = self._remembered(asking, possible)
        oldest = min(now, caller.since) - self._options.stale_seconds
        kept = {name: one for name, one in read.items() if one.at >= oldest or name not in missing}
        told = self._told(possible, kept)
        seen = reading.seen(asking, told, possible, now=time.time())
        ages = [now - kept[name].at for name in missing if name in kept]
        held = {name: one for name, one in seen.held.items() if name in kept}
        held |= dict.fromkeys(set(names).difference(possible), _NOBODY)
        return replace(seen, held=held, stale_seconds=_whole(max([caller.age, *ages])))

    def _remembered(self, asking: Asking, names: Sequence[str]) -> dict[str, Read[Found]]:
        return {name: self._one(asking, name) for name in names}

    def _one(self, asking: Asking, name: str) -> Read[Found]:
        named = (asking.tenant_id.bytes, name)
        read = recall(self._memory.customers, named) or recall(self._memory.strangers, named)
        return read or _NEVER

    def _wanted(
        self, asking: Asking, names: Sequence[str], now: float, *, since: float = inf
    ) -> list[str]:
        """Of whom Redis is asked: who was not read a moment ago."""
        return [
            name
            for name, one in self._remembered(asking, _possible(names)).items()
            if one.at < since and not self._is_fresh(one.at, now)
        ]

    def _told(self, names: Sequence[str], kept: dict[str, Read[Found]]) -> Sequence[Any]:
        """As the script would have told it; the settings are those that were read last."""
        last = max(kept.values(), key=lambda read: read.at, default=None)
        known = last.value[0] if last else _NOTHING
        return [None, known, *(kept[name].value[1] if name in kept else () for name in names)]

    def _read(
        self, asking: Asking | None, names: Sequence[str], now: float, *, entry: str = ""
    ) -> tuple[bytes | None, bytes | None]:
        """Ask Redis, and remember what it knows; nothing is forgotten for what it has lost.

        Returns what the entry says, and the mark that all are there. Raises Away.
        """
        named = [(name, self._digest(asking, name)) for name in names] if asking else []
        told = self._line.look(asking.tenant_id if asking else "", named, entry=entry)
        for name, flat in zip(names, told[2:], strict=True):
            is_known, known = STANDING.encode() in flat[::2], told[1]
            if asking and (is_known or known[-1] is not None):
                of = (asking.tenant_id.bytes, name)
                self._memory.learn(of, Read(now, (known, flat)), is_known=is_known)
        return tuple(told[0]) if entry else (None, None)

    def _digest(self, asking: Asking, name: str) -> bytes:
        under = self._options.alias_key
        return aliases.digest_in(name) or aliases.digest_under(under, asking.tenant_id, name)

    def _is_fresh(self, read_at: float, now: float) -> bool:
        since = self._heard_since()
        return (
            since is not None and read_at >= since and now - read_at < self._options.fresh_seconds
        )


def _closed() -> Unauthenticated:
    return Unauthenticated("this API key opens nothing here")


def _possible(names: Sequence[str]) -> list[str]:
    return [name for name in names if len(name) <= LONGEST_NAME]


def _whole(age: float) -> int:
    """In seconds; what was read a moment ago, and cannot be read now, is a second old."""
    return int(age) + 1 if age > 0 else 0
