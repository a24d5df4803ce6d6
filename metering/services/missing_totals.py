"""Totals that no event has made yet: of the periods that are billed, and of those that follow.

All are inserted by one statement, in the order in which drains insert theirs: of two who make the
same ones, one waits for the other, and none for ever.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import astuple

from metering.ingest.connection import hot_cursor
from metering.services.carrying import Move
from metering.services.watermarks import WantedTotal

_ENSURE = """
    INSERT INTO running_totals (
        tenant_id, subscription_id, plan_version_id, unit_id, dimension, period_id,
        quantity, event_count, revenue, cost, position, digest
    )
    SELECT t, s, v, u, d, p, 0, 0, 0, 0, 0, decode(repeat('00', 32), 'hex')
    FROM (
        SELECT t, s, v, u, '' AS d, p
        FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[])
            AS wanted (p, v, u, s, t)
        UNION
        SELECT r.tenant_id, r.subscription_id, m.next_version_id, r.unit_id, r.dimension,
               m.next_period_id
        FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[])
            AS m (period_id, version_id, unit_id, next_period_id, next_version_id)
        JOIN running_totals r ON r.period_id = m.period_id
            AND r.plan_version_id = m.version_id AND r.unit_id = m.unit_id
    ) AS missing
    ORDER BY p, v, u, d COLLATE "C"
    ON CONFLICT (period_id, plan_version_id, unit_id, dimension) DO NOTHING
"""


def ensure_totals(wanted: Iterable[WantedTotal], moves: Iterable[Move] = ()) -> None:
    """Insert the totals that are missing; those that exist are left as they are.

    Of each unit that goes on by one of `moves`, the next period gets a total for every dimension
    that has one now.
    """
    going_on = set(moves)
    rows = set(wanted)
    rows |= set(_next_ones(rows, going_on))
    if rows or going_on:
        with hot_cursor() as cursor:
            cursor.execute(_ENSURE, [*_columns(rows), *_columns(going_on)])


def _next_ones(rows: Collection[WantedTotal], moves: Collection[Move]) -> Iterator[WantedTotal]:
    """Of no dimension: what is wanted may not be there yet, and goes on all the same."""
    known = {(row.period_id, row.plan_version_id, row.unit_id): row for row in rows}
    for move in moves:
        row = known.get((move.period_id, move.version_id, move.unit_id))
        if row is not None:
            owner, tenant_id = row.subscription_id, row.tenant_id
            at = (move.next_period_id, move.next_version_id, move.unit_id)
            yield WantedTotal(*at, owner, tenant_id)


def _columns(rows: Collection[WantedTotal] | Collection[Move]) -> list[list[object]]:
    tuples = [astuple(row) for row in rows]
    return [list(column) for column in zip(*tuples, strict=True)] or [[] for _ in range(5)]
