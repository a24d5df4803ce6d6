"""Invoice numbers without gaps: a counter per billing entity, locked in the issuing transaction."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from metering.ingest.connection import hot_cursor

# Rows in id order: two transactions that issue for the same entities cannot deadlock.
_DRAW = """
    WITH asked AS (
        SELECT * FROM unnest(%s::uuid[], %s::bigint[]) AS asked (id, count)
    ), locked AS MATERIALIZED (
        SELECT e.id FROM billing_entities e JOIN asked ON asked.id = e.id
        ORDER BY e.id FOR UPDATE OF e
    )
    UPDATE billing_entities e SET next_invoice_number = e.next_invoice_number + asked.count
    FROM asked JOIN locked ON locked.id = asked.id
    WHERE e.id = asked.id
    RETURNING e.id, e.invoice_prefix, e.time_zone, e.next_invoice_number - asked.count
"""


def draw_numbers(entity_ids: Sequence[UUID], *, issued_at: datetime) -> list[str]:
    """The next number of each of `entity_ids`, in their order, such as INV-2026-0001.

    To be called last in a transaction: whoever else issues for one of these entities waits until
    it ends. A number drawn in a transaction that rolls back is drawn again.
    """
    asked = Counter(entity_ids)
    with hot_cursor() as cursor:
        drawn = cursor.execute(_DRAW, (list(asked), list(asked.values()))).fetchall()
    numbers = {
        entity_id: _numbers(prefix, issued_at.astimezone(ZoneInfo(zone)).year, first)
        for entity_id, prefix, zone, first in drawn
    }
    return [next(numbers[entity_id]) for entity_id in entity_ids]


def _numbers(prefix: str, year: int, first: int) -> Iterator[str]:
    number = first
    while True:
        yield f"{prefix}-{year}-{number:04d}"
        number += 1
