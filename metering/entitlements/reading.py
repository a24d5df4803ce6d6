"""How access checks are read from Redis: one script, and what its answer means.

Knows neither PostgreSQL nor whose client asks, so that the edge reads as the web process does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from metering.entitlements.decisions import Held

# The entry of a key (and another, if named), the settings of a tenant, per customer (external id,
# digest of the name) the hash; a name that is no external id may be another name of a customer.
LOOK = """
local entry = KEYS[1] ~= '' and redis.call(KEYS[2] and 'MGET' or 'GET', unpack(KEYS))
local tenant = ARGV[1]
if tenant == '' then return {entry} end
local of = 'access-tenant:' .. tenant
local known = redis.call('HMGET', of, 'fallback', 'frozen', 'offset', 'whole')
local found = {entry, known}
for i = 2, #ARGV, 2 do
  local prefix = 'access:' .. tenant .. ':'
  local hash = redis.call('HGETALL', prefix .. ARGV[i])
  if #hash == 0 then
    local customer = redis.call('HGET', 'access-names:' .. tenant, ARGV[i + 1])
    if customer then hash = redis.call('HGETALL', prefix .. customer) end
  end
  found[#found + 1] = hash
end
return found
"""


@dataclass(frozen=True, slots=True)
class Asking:
    """Whose key asks, or which tenant is named where no key is needed.

    `customer` (external id) is whose subscription the key was given out for, where that is known.
    """

    tenant_id: UUID
    slug: str
    key_id: UUID | None = None
    fallback: str = "OPEN"
    customer: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look has found: `held` by the names that were asked for, absent while blind.

    `stale_seconds` is how long ago that was read, where nothing newer could be.
    """

    asking: Asking
    at: float
    fallback: str
    held: Mapping[str, Held] = field(default_factory=dict)
    stale_seconds: int = 0


def asking_in(entry: bytes) -> Asking:
    """Whose a key is, as its entry says; or a tenant, as the entry of its name says."""
    key_id, tenant_id, slug, fallback, *more = entry.decode().split(" ", 4)
    key = UUID(key_id) if key_id else None
    return Asking(UUID(tenant_id), slug, key, fallback, more[0] if more else "")


def seen(asking: Asking, told: Sequence[Any] | None, names: Sequence[str], *, now: float) -> Seen:
    """What the script's answer says at `now`; None is no answer, and nothing is known then."""
    if not told:
        return Seen(asking, now, asking.fallback)
    fallback, frozen, offset, whole = told[1]
    fallback = fallback.decode() if fallback else asking.fallback
    at = float(frozen) if frozen else now + float(offset or 0)
    held = {}
    for name, flat in zip(names, told[2:], strict=True):
        found = Held(dict(zip(flat[::2], flat[1::2], strict=True)))
        if found.standing is not None or (whole and not found.is_unreadable):
            held[name] = found
    return Seen(asking, at, fallback, held)
