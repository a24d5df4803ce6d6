"""What the door remembers between requests: the settings of keys and the names of metrics."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from aforo.tenancy.clock import NOW_SQL
from aforo.tenancy.models import Tenant
from metering.ingest.events import HEARTBEAT
from metering.ingest.inbox import bucket_of

SETTINGS_SECONDS = 30.0  # a changed limit of a key is in force everywhere after these
MAX_KEYS = 50_000  # beyond this the memory is worth more than the round trip it saves

_KEY = """
    SELECT k.id, k.tenant_id, t.slug, t.live_twin_id IS NOT NULL, t.unknown_metric, k.rate_limit,
        k.source, s.customer_id
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    LEFT JOIN subscription_keys b ON b.key_id = k.id
    LEFT JOIN subscriptions s ON s.id = b.subscription_id
    WHERE k.digest = %s AND k.kind = 'METERING' AND k.revoked_at IS NULL
"""
_KEY_FIELDS = """
    SELECT CASE WHEN u.source_metric = '' THEN u.name ELSE u.source_metric END, u.key_fields
    FROM billable_units u
    WHERE u.tenant_id = %s AND u.archived_at IS NULL AND u.key_fields <> '[]'
    ORDER BY u.name DESC
"""
_OPEN = "SELECT EXISTS (SELECT FROM api_keys k WHERE k.digest = %s AND k.revoked_at IS NULL)"
_CLOCK = f"SELECT {NOW_SQL} FROM tenants t WHERE t.id = %s"  # noqa: S608 - our own constant
_METRICS = """
    SELECT t.unknown_metric, CASE WHEN u.source_metric = '' THEN u.name ELSE u.source_metric END
    FROM tenants t LEFT JOIN billable_units u ON u.tenant_id = t.id AND u.archived_at IS NULL
    WHERE t.id = %s
"""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The settings of one metering key. Whether it still opens anything, the database says."""

    id: UUID
    tenant_id: UUID
    slug: str
    is_sandbox: bool
    accepts_unknown_metrics: bool
    bucket: int
    rate_limit: int | None  # events a minute
    source: str  # who sends with it
    read_at: float
    customer_id: UUID | None = None  # whose subscription it was given out for; it never changes


_keys: dict[bytes, KnownKey] = {}
_metrics: dict[UUID, frozenset[str]] = {}
_key_fields: dict[UUID, tuple[float, dict[str, list[str]]]] = {}


def key_of(digest: bytes) -> KnownKey | None:
    """The key with this SHA-256, as it was half a minute ago at most; None when there is none."""
    known = _keys.get(digest)
    if known is None or time.monotonic() - known.read_at > SETTINGS_SECONDS:
        with connection.cursor() as cursor:
            cursor.execute(_KEY, (digest,))
            row = cursor.fetchone()
        if row is None:
            return None
        key_id, tenant_id, slug, is_sandbox, unknown, limit, source, customer_id = row
        accepts = unknown != Tenant.UnknownMetric.REJECT
        known = KnownKey(
            key_id,
            tenant_id,
            slug,
            is_sandbox,
            accepts,
            bucket_of(tenant_id),
            limit or settings.KEY_RATE_LIMIT,
            source,
            time.monotonic(),
            customer_id,
        )
        if len(_keys) >= MAX_KEYS:
            _keys.clear()
        _keys[digest] = known
    return known


def is_open(digest: bytes) -> bool:
    """Whether the key opens anything at this moment."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, (digest,))
        (opens,) = cursor.fetchone()
    return bool(opens)


def forget_key(digest: bytes) -> None:
    """The database refused it: do not serve its settings again."""
    _keys.pop(digest, None)


def forget_everything() -> None:
    """As a process that has just started."""
    _keys.clear()
    _metrics.clear()
    _key_fields.clear()


def clock_of(key: KnownKey) -> datetime:
    """Now for the key's tenant; a sandbox's own clock is read each time, because it can jump."""
    if not key.is_sandbox:
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_CLOCK, (key.tenant_id,))
        moment: datetime = cursor.fetchone()[0]
    return moment


def unknown_metrics(key: KnownKey, names: set[str]) -> set[str]:
    """Those of `names` that no unit of the tenant counts; a miss asks the database once more."""
    if key.accepts_unknown_metrics:
        return set()
    missing = names - _metrics.get(key.tenant_id, frozenset()) - {HEARTBEAT}
    if missing:
        with connection.cursor() as cursor:
            cursor.execute(_METRICS, (key.tenant_id,))
            rows = cursor.fetchall()
        _metrics[key.tenant_id] = frozenset(name for _, name in rows)
        missing -= _metrics[key.tenant_id]
        if rows[0][0] != Tenant.UnknownMetric.REJECT:  # the switch was moved since
            return set()
    return missing


def key_fields(tenant_id: UUID) -> dict[str, list[str]]:
    """By metric, the fields of which the keys of events without one are made.

    As it was half a minute ago at most. Of several units of one metric the first by name decides.
    """
    read_at, fields = _key_fields.get(tenant_id, (0.0, {}))
    if not read_at or time.monotonic() - read_at > SETTINGS_SECONDS:
        with connection.cursor() as cursor:
            cursor.execute(_KEY_FIELDS, (tenant_id,))
            fields = {metric: json.loads(names) for metric, names in cursor.fetchall()}
        _key_fields[tenant_id] = (time.monotonic(), fields)
    return fields
