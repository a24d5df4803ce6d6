"""Writing down when keys were last used."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection

# One statement however many keys; sorted, so that two writers cannot lock each other out.
_WRITE = """
    UPDATE api_keys SET last_used_at = used.at
    FROM (
        SELECT key.id, noted.at
        FROM unnest(%s::uuid[], %s::timestamptz[]) AS noted(id, at)
        JOIN api_keys AS key ON key.id = noted.id
        WHERE key.last_used_at IS NULL OR key.last_used_at < noted.at
        ORDER BY key.id
        FOR UPDATE OF key
    ) AS used
    WHERE api_keys.id = used.id
"""


def write_uses(uses: Mapping[UUID, datetime]) -> int:
    """Write the times that are newer than what the rows say; the number of rows written."""
    if not uses:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [list(uses), list(uses.values())])
        return int(cursor.rowcount)
