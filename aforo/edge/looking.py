"""What an edge knows of customers: from Redis, else from what it has read within `stale_seconds`.

For `fresh_seconds` what was read is used without asking, but only while revocations are heard: a
key that is revoked is let go of the moment that is told.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from math import inf
from typing import Any

from aforo.edge.line import Away, Line
from aforo.edge.memory import Found, Memory, Read, remember
from aforo.edge.options import Options
from aforo.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from aforo.tenancy.key_entries import REVOKED, entry_of
from catalog import aliases
from metering.entitlements import reading
from metering.entitlements.reading import Asking, Seen
from metering.entitlements.state import STANDING

_NOTHING: Sequence[Any] = (None, None, None, None)
_NEVER: Read[Found] = Read(-inf, (_NOTHING, ()))


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
        asking, age = self.whose(token, tenant_header=tenant_header)
        return self.seen(asking, names, age=age)

    def by_tenant(self, name: str, names: Sequence[str]) -> Seen:
        """The same for who need no key: `name` is the id or the slug of a tenant."""
        asking, age = self.named(name)
        return self.seen(asking, names, age=age)

    def whose(self, token: str, *, tenant_header: str | None) -> tuple[Asking, float]:
        """Whose a key is, and how long ago that was read, where nobody can be asked now.

        Raises Unauthenticated for a key that opens nothing, Forbidden when the header names another
        tenant, Unavailable for a key that was never seen and cannot be asked for.
        """
        asking, age = self._key(sha256(token.encode(errors="surrogateescape")).digest())
        named = tenant_header.strip().lower() if tenant_header else None
        if named and named not in {str(asking.tenant_id), asking.slug}:
            raise Forbidden("X-Tenant-Id names another tenant than the API key")
        return asking, age

    def named(self, name: str) -> tuple[Asking, float]:
        """The tenant with this id or slug, likewise. Raises NotFound, Unavailable."""
        known, now = self._memory.tenants.get(name), self._monotonic()
        if known and self._is_fresh(known.at, now):
            return known.value, 0
        try:
            entry = self._line.tenant(name) or self._line.tenant(name.lower())
        except Away:
            return self._recalled(known, now, "this tenant is not known here yet")
        if entry is None:
            raise NotFound("X-Tenant-Id names no tenant")
        asking = reading.asking_in(entry)
        remember(self._memory.tenants, name, Read(now, asking))
        return asking, 0

    def _key(self, digest: bytes) -> tuple[Asking, float]:
        """Whose a key is, and how long ago that was read, if nobody can be asked now."""
        known, now = self._memory.keys.get(digest), self._monotonic()
        if digest in self._memory.revoked:
            raise _closed()
        if known and self._is_fresh(known.at, now):
            return known.value, 0
        try:
            entry, are_all_there = self._line.entry(entry_of(digest))
        except Away:
            return self._recalled(known, now, "this key is not known here yet")
        if entry == REVOKED or (entry is None and are_all_there):
            self._memory.keys.pop(digest, None)
            raise _closed()
        if entry is None:  # Redis was emptied, and nobody has written the keys anew
            return self._recalled(known, now, "this key is not known here yet")
        asking = reading.asking_in(entry)
        remember(self._memory.keys, digest, Read(now, asking))
        if digest in self._memory.revoked:  # told after it was read
            raise _closed()
        return asking, 0

    def _recalled(
        self, known: Read[Asking] | None, now: float, otherwise: str
    ) -> tuple[Asking, float]:
        if known is None or now - known.at > self._options.stale_seconds:
            raise Unavailable(f"{otherwise}, and Redis is away")
        return known.value, now - known.at

    def seen(self, asking: Asking, names: Sequence[str], *, age: float) -> Seen:
        """What is known of customers of a tenant, and how old the oldest of it is."""
        now = self._monotonic()
        read = self._remembered(asking, names)
        missing = [name for name in names if not self._is_fresh(read[name].at, now)]
        if missing and not age:  # else nobody answered a moment ago
            self._read(asking, missing, now)
            read = self._remembered(asking, names)
        oldest = now - self._options.stale_seconds
        kept = {name: one for name, one in read.items() if one.at >= oldest}
        told = self._told(names, kept)
        seen = reading.seen(asking, told, names, now=time.time())
        ages = [age, *(now - kept[name].at for name in missing if name in kept)]
        held = {name: one for name, one in seen.held.items() if name in kept}
        return replace(seen, held=held, stale_seconds=_whole(max(ages)))

    def _remembered(self, asking: Asking, names: Sequence[str]) -> dict[str, Read[Found]]:
        known = self._memory.customers
        return {name: known.get((asking.tenant_id, name), _NEVER) for name in names}

    def _told(self, names: Sequence[str], kept: dict[str, Read[Found]]) -> Sequence[Any]:
        """As the script would have told it; the settings are those that were read last."""
        last = max(kept.values(), key=lambda read: read.at, default=None)
        known = last.value[0] if last else _NOTHING
        return [None, known, *(kept[name].value[1] if name in kept else () for name in names)]

    def _read(self, asking: Asking, names: Sequence[str], now: float) -> None:
        """Ask Redis, and remember what it knows; nothing is forgotten for what it has lost."""
        named = [(name, self._digest(asking, name)) for name in names]
        try:
            _, known, *hashes = self._line.look(asking.tenant_id, named)
        except Away:
            return
        is_whole = known[-1] is not None
        for name, flat in zip(names, hashes, strict=True):
            if is_whole or STANDING.encode() in flat[::2]:
                remember(self._memory.customers, (asking.tenant_id, name), Read(now, (known, flat)))

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


def _whole(age: float) -> int:
    """In seconds; what was read a moment ago, and cannot be read now, is a second old."""
    return int(age) + 1 if age > 0 else 0
