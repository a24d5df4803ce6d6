"""What processes without PostgreSQL must find in Redis: every open key, and tenants by name.

Beside what doors write when a key is first used. Nothing here takes back a revocation: where it has
left its mark, an entry is not written.
"""

from collections.abc import Iterator
from functools import cache
from secrets import token_hex

import structlog
from redis.commands.core import Script
from redis.exceptions import RedisError

from aforo import valkey
from aforo.tenancy.key_entries import ENTRIES_WHOLE, REVOKED, TENANTS, entry_of, entry_text
from aforo.tenancy.models import ApiKey, Tenant

ENTRY_SECONDS = 300  # ten syncs: a key that is gone from PostgreSQL opens nothing after these
WHOLE_SECONDS = 240  # less, so that no entry is missed while all are said to be there
PAGE = 500
_SYNCING = "access-keys-syncing"
_PUT = """
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) ~= ARGV[1] then redis.call('SET', key, ARGV[i + 2], 'EX', ARGV[2]) end
end
"""
# Unless Redis was emptied meanwhile: then entries may be missing until the next sync.
_WHOLE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
end
"""
log = structlog.get_logger(__name__)


def publish_entries() -> int:
    """Write entries of all open metering keys and of all tenants; how many keys.

    Without Redis nothing can be done, until the next time.
    """
    try:
        return _publish()
    except RedisError as error:
        log.warning("key_entries_not_published", error=str(error))
        return 0


def _publish() -> int:
    mark, count = token_hex(8), 0
    valkey.client().set(_SYNCING, mark, ex=ENTRY_SECONDS)
    _publish_tenants()
    for page in _pages():
        _script(_PUT)(
            keys=[entry_of(digest) for digest, _ in page],
            args=[REVOKED, ENTRY_SECONDS, *(text for _, text in page)],
        )
        count += len(page)
    _script(_WHOLE)(keys=[_SYNCING, ENTRIES_WHOLE], args=[mark, WHOLE_SECONDS])
    return count


def _publish_tenants() -> None:
    named: dict[str, str] = {}
    lower: dict[str, str] = {}
    rows = Tenant.objects.order_by("-created_at").values_list("pk", "slug", "access_fallback")
    for tenant_id, slug, fallback in rows:
        text = entry_text(key_id="", tenant_id=tenant_id, slug=slug, fallback=fallback)
        lower[slug.lower()] = named[str(tenant_id)] = named[slug] = text
    if named:
        valkey.client().hset(TENANTS, mapping=lower | named)  # type: ignore[arg-type]


def _pages() -> Iterator[list[tuple[bytes, str]]]:
    """The digest of each open key and what its entry says, by pages."""
    keys = ApiKey.objects.filter(  # any tenant: a door learns from the key whose it is
        kind=ApiKey.Kind.METERING, revoked_at=None
    ).order_by("pk")
    after = None
    while True:
        rows = list((keys.filter(pk__gt=after) if after else keys).values_list(*_COLUMNS)[:PAGE])
        if not rows:
            return
        yield [(bytes(digest), _text(*about)) for digest, *about in rows]
        after = rows[-1][1]


_COLUMNS = (
    "digest",
    "pk",
    "tenant_id",
    "tenant__slug",
    "tenant__access_fallback",
    "subscription__subscription__customer__external_id",
)


def _text(key_id: object, tenant_id: object, slug: str, fallback: str, customer: str | None) -> str:
    return entry_text(
        key_id=key_id, tenant_id=tenant_id, slug=slug, fallback=fallback, customer=customer or ""
    )


@cache
def _script(text: str) -> Script:
    return valkey.client().register_script(text)
