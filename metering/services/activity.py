"""Sums of what came, kept small: receipts by five minutes, and when each unit last had an event."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from metering.models.activity import slice_start

SETTLED = timedelta(minutes=15)  # a drain that began earlier has been ended: tasks have 10 minutes

# A replayed event was received once, by the batch that it was refused in.
_SLICE = """
    INSERT INTO receipt_slices (tenant_id, start_at, event_count, counted, unbilled, duplicates,
                                dead, held)
    SELECT t.id, date_bin('5 minutes', r.drained_at, 'epoch'), sum(r.event_count), sum(r.counted),
           sum(r.unbilled), sum(r.duplicates), sum(r.dead), sum(r.held)
    FROM tenants t
    CROSS JOIN LATERAL (
        SELECT coalesce(max(s.start_at) + interval '5 minutes', '-infinity') AS since
        FROM receipt_slices s WHERE s.tenant_id = t.id
    ) AS done
    JOIN receipts r ON r.tenant_id = t.id AND r.drained_at >= done.since
                   AND r.drained_at < %s AND r.source <> 'REPLAY'
    GROUP BY 1, 2
    ON CONFLICT (tenant_id, start_at) DO NOTHING
"""
_UNITS = """
    INSERT INTO unit_activity (unit_id, tenant_id, last_event_at)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[]) AS noted(u, t, at) ORDER BY u
    ON CONFLICT (unit_id) DO UPDATE SET last_event_at = excluded.last_event_at
    WHERE unit_activity.last_event_at < excluded.last_event_at
"""


def slice_receipts(*, now: datetime) -> int:
    """Sum up receipts that are settled, each once; the number of slices made.

    May run twice, also at once: a slice that is there is left alone.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SLICE, (slice_start(now - SETTLED),))
        return int(cursor.rowcount)


def write_unit_uses(uses: list[tuple[UUID, UUID, datetime]]) -> int:
    """Write what is newer than the rows say; the number of rows written."""
    if not uses:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_UNITS, [list(column) for column in zip(*uses, strict=True)])
        return int(cursor.rowcount)
