"""What access checks read: one Redis hash per customer, and the only code that writes to it.

`access:{tenant}:{external id}` has a field `s` (who and what: `Standing`), `m` (`MarginState`), and
`u:{period}:{unit}` for each limited unit that was used. Every value begins with its version; an
older version never takes the place of a newer one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection
from redis.commands.core import Script

from aforo import valkey

STANDING, MARGIN = "s", "m"
FIELDS_PER_CALL = 500  # a millisecond or two, for which Redis answers nobody else
_READING = """
    SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
           (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
"""
# Per key: how many fields, and of each its name, version, value and the version that it may replace
# although that is higher. Returned: what was refused, as key number, field, version found there.
_PUT = """
local function parts(version)
  local started, number = string.match(version, '^(%d+):(%d+)$')
  return tonumber(started), tonumber(number)
end
local refused, at = {}, 1
for i, key in ipairs(KEYS) do
  local count = tonumber(ARGV[at]); at = at + 1
  for _ = 1, count do
    local field, version, value, but = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    at = at + 4
    local stored = redis.call('HGET', key, field)
    local found = stored and string.match(stored, '^(%d+:%d+) ')
    local is_newer = false
    if found and found ~= but then
      local a, b = parts(found)
      local c, d = parts(version)
      is_newer = a > c or (a == c and b > d)
    end
    if is_newer then
      refused[#refused + 1] = i - 1
      refused[#refused + 1] = field
      refused[#refused + 1] = found
    else
      redis.call('HSET', key, field, version .. ' ' .. value)
    end
  end
end
return refused
"""


class Version(NamedTuple):
    """What was read when: since which start of PostgreSQL, and a number that only grows there.

    A commit that a crash took back may have been published; what comes after it is of a new start.
    """

    started: int
    number: int

    def __str__(self) -> str:
        return f"{self.started}:{self.number}"


class MarginState(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What margin guards say of a customer in its current period.

    `percent` is None without any revenue. `throttle_rate` is the percentage of calls that may pass
    under L2_THROTTLE, `requests_per_second` how many, for those who can count. `by_metric` holds
    what guards of one metric say, where that is worse.
    """

    level: str = "NONE"  # L1_ALERT, L2_THROTTLE, L3_BLOCK
    percent: Decimal | None = None
    throttle_rate: int = 100
    retry_after_seconds: int = 1800
    message: str = ""
    by_metric: dict[str, "MarginState"] = {}
    requests_per_second: Decimal | None = None


class Field(NamedTuple):
    """One field of a customer's hash; `but` is a higher version that it replaces all the same."""

    name: str
    version: Version
    value: bytes
    but: str = ""


class Refusal(NamedTuple):
    """A field that was not written: Redis holds `version`, which is higher."""

    customer: str
    field: str
    version: str


def reading() -> Version:
    """The version of whatever is read from PostgreSQL after this call: later is newer."""
    with connection.cursor() as cursor:
        cursor.execute(_READING)
        return Version(*cursor.fetchone())


def key_of(tenant_id: UUID, customer: str) -> str:
    """The hash of one customer, by external id."""
    return f"access:{tenant_id}:{customer}"


def names_key(tenant_id: UUID) -> str:
    """The hash of a tenant's aliases: the digest of a name to the external id of its customer."""
    return f"access-names:{tenant_id}"


def known_key(tenant_id: UUID) -> str:
    """The hash of the other way: the digests of each customer, by its external id."""
    return f"access-known:{tenant_id}"


def settings_key(tenant_id: UUID) -> str:
    """The hash of what access checks must know of the tenant itself."""
    return f"access-tenant:{tenant_id}"


def put(tenant_id: UUID, fields: Mapping[str, Sequence[Field]]) -> list[Refusal]:
    """Write fields of customers (by external id), some hundred per call; RedisError when away.

    What Redis holds in a higher version stays, and is told.
    """
    return [refusal for page in _pages(fields) for refusal in _put_page(tenant_id, page)]


def put_margin(
    tenant_id: UUID, states: Mapping[str, MarginState], *, version: Version
) -> list[Refusal]:
    """Write what margin guards say of customers, by external id; in force when this returns.

    `version` is `reading()`, called before what the states follow from was read. RedisError when
    Redis is away: whoever computes states puts all of them anew every 30 seconds.
    """
    return put(
        tenant_id,
        {
            customer: [Field(MARGIN, version, msgspec.json.encode(state))]
            for customer, state in states.items()
        },
    )


def _pages(fields: Mapping[str, Sequence[Field]]) -> Iterator[list[tuple[str, Sequence[Field]]]]:
    """Fields by customer, cut where a call has enough of them."""
    page: list[tuple[str, Sequence[Field]]] = []
    room = FIELDS_PER_CALL
    for customer, own in fields.items():
        start = 0
        while start < len(own):
            part = own[start : start + room]
            page.append((customer, part))
            start, room = start + len(part), room - len(part)
            if not room:
                yield page
                page, room = [], FIELDS_PER_CALL
    if page:
        yield page


def _put_page(tenant_id: UUID, page: Sequence[tuple[str, Sequence[Field]]]) -> Iterator[Refusal]:
    arguments: list[str | bytes | int] = []
    for _, fields in page:
        arguments.append(len(fields))
        for name, version, value, but in fields:
            arguments += (name, str(version), value, but)
    keys = [key_of(tenant_id, customer) for customer, _ in page]
    told = _put_script()(keys=keys, args=arguments, client=valkey.client())
    for index, field, found in _threes(told):
        yield Refusal(page[index][0], field.decode(), found.decode())


@cache
def _put_script() -> Script:
    return valkey.client().register_script(_PUT)


def _threes(told: Sequence[object]) -> Iterable[tuple[int, bytes, bytes]]:
    return zip(told[0::3], told[1::3], told[2::3], strict=True)  # type: ignore[arg-type]
