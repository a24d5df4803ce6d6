"""The other names of customers, and the end of what is kept of them no more.

`access-names:{tenant}` leads from the digest of a name to an external id, `access-known:{tenant}`
from there to the digests, in the version of what they were read from: a page that was read before
a change and comes after it takes no name back.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from uuid import UUID

from redis.commands.core import Script

from aforo import valkey
from catalog.aliases import digest_of
from metering.entitlements import state
from metering.entitlements.building import Built
from metering.entitlements.state import FIELDS_PER_CALL, Refusal, Version

NAMES = "names"  # what a refusal calls them
_NEWER = """
local function is_newer(one, other)
  local a, b = string.match(one, '^(%d+):(%d+)$')
  local c, d = string.match(other, '^(%d+):(%d+)$')
  a, b, c, d = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
  return a > c or (a == c and b > d)
end
"""
# Per customer its hash and external id, the version, the one that it may replace although that is
# higher, the digests of its names as they are now, and the uses that are kept of it. Returned: whom
# Redis knows in a higher version, and in which.
_SETTLE = (
    _NEWER
    + """
local names, known, refused, at = KEYS[1], KEYS[2], {}, 1
for i = 3, #KEYS do
  local customer, version, but, digests, uses = unpack(ARGV, at, at + 4)
  at = at + 5
  local stored = redis.call('HGET', known, customer) or ''
  local found, before = string.match(stored, '^(%d+:%d+) (.*)$')
  if found and found ~= but and is_newer(found, version) then
    refused[#refused + 1] = customer
    refused[#refused + 1] = found
  else
    if before and before ~= digests then
      local still = {}
      for digest in string.gmatch(digests, '%x+') do still[digest] = true end
      for digest in string.gmatch(before, '%x+') do
        if not still[digest] and redis.call('HGET', names, digest) == customer then
          redis.call('HDEL', names, digest)
        end
      end
    end
    redis.call('HSET', known, customer, version .. ' ' .. digests)
    local kept = {s = true, m = true}
    for field in string.gmatch(uses, '[^,]+') do kept[field] = true end
    for _, field in ipairs(redis.call('HKEYS', KEYS[i])) do
      if not kept[field] then redis.call('HDEL', KEYS[i], field) end
    end
  end
end
return refused
"""
)
# Names of customers as they were settled in a version; what was settled later is left alone, and
# so is a name that another customer has got later.
_NAME = (
    _NEWER
    + """
local names, known, at = KEYS[1], KEYS[2], 1
while at <= #ARGV do
  local customer, version, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local stored = redis.call('HGET', known, customer) or ''
  if string.match(stored, '^(%d+:%d+) ') == version then
    for i = at + 3, at + 2 + count do
      local owner = redis.call('HGET', names, ARGV[i])
      local theirs = owner and owner ~= customer and redis.call('HGET', known, owner)
      local found = theirs and string.match(theirs, '^(%d+:%d+) ')
      local is_theirs = found and is_newer(found, version)
        and string.find(theirs, ARGV[i], 1, true)
      if owner ~= customer and not is_theirs then
        redis.call('HSET', names, ARGV[i], customer)
      end
    end
  end
  at = at + 3 + count
end
"""
)
Part = tuple[str, Version, Sequence[str]]


def settle(
    tenant_id: UUID, built: Mapping[str, Built], *, but: Mapping[str, str] | None = None
) -> list[Refusal]:
    """Learn the names of customers, forget those they lost, and the uses of what has gone by.

    Whom Redis knows in a higher version is left as it is and told, unless `but` names that very
    version. RedisError when Redis is away.
    """
    digests = {
        name: [digest_of(tenant_id, one.customer_id).hex(), *one.digests]
        for name, one in built.items()
    }
    refused: list[Refusal] = []
    for page in _pages(digests, {name: len(one.uses) for name, one in built.items()}):
        keys = [*_keys(tenant_id), *(state.key_of(tenant_id, name) for name in page)]
        arguments: list[str] = []
        for name in page:
            version, above = str(built[name].version), (but or {}).get(name, "")
            own = (",".join(digests[name]), ",".join(built[name].uses))
            arguments += (name, version, above, *own)
        told = _script(_SETTLE)(keys=keys, args=arguments, client=valkey.client())
        for customer, found in zip(told[::2], told[1::2], strict=True):
            refused.append(Refusal(customer.decode(), NAMES, found.decode()))
    _name(tenant_id, [(name, built[name].version, own) for name, own in digests.items()])
    return refused


def _pages(digests: Mapping[str, Sequence[str]], uses: Mapping[str, int]) -> Iterator[list[str]]:
    """Customers, so many that a call has enough to do."""
    page: list[str] = []
    room = FIELDS_PER_CALL
    for name, own in digests.items():
        page.append(name)
        room -= len(own) + uses[name]
        if room <= 0:
            yield page
            page, room = [], FIELDS_PER_CALL
    if page:
        yield page


def _name(tenant_id: UUID, customers: Sequence[Part]) -> None:
    arguments: list[str] = []
    room = FIELDS_PER_CALL
    for name, version, digests in customers:
        for start in range(0, len(digests), FIELDS_PER_CALL):
            part = digests[start : start + FIELDS_PER_CALL]
            if arguments and len(part) > room:
                _script(_NAME)(keys=_keys(tenant_id), args=arguments, client=valkey.client())
                arguments, room = [], FIELDS_PER_CALL
            arguments += (name, str(version), str(len(part)), *part)
            room -= len(part)
    if arguments:
        _script(_NAME)(keys=_keys(tenant_id), args=arguments, client=valkey.client())


def _keys(tenant_id: UUID) -> list[str]:
    return [state.names_key(tenant_id), state.known_key(tenant_id)]


@cache
def _script(text: str) -> Script:
    return valkey.client().register_script(text)
