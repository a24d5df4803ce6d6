"""Giving watermarks back: what a void invoice billed is unbilled again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from metering.ingest.connection import hot_cursor

_WHOLE = """
    UPDATE running_totals SET billed_position = NULL, billed_quantity = NULL,
        billed_event_count = NULL, billed_revenue = NULL, billed_state = NULL,
        billed_adjustments = NULL
    WHERE period_id = %s RETURNING id
"""
_NOT_LATE = "DELETE FROM late_totals WHERE running_total_id = ANY(%s)"
_SPANS = """
    UPDATE running_totals t SET
        billed_position = s.before, billed_quantity = t.billed_quantity - s.quantity,
        billed_event_count = t.billed_event_count - s.event_count,
        billed_revenue = t.billed_revenue - s.revenue,
        billed_state = coalesce(s.state::jsonb, t.billed_state)
    FROM unnest(
        %s::bigint[], %s::bigint[], %s::numeric[], %s::bigint[], %s::numeric[], %s::text[]
    ) AS s (id, before, quantity, event_count, revenue, state)
    WHERE t.id = s.id
"""
_LATE_AGAIN = """
    INSERT INTO late_totals (running_total_id, tenant_id, subscription_id)
    SELECT id, tenant_id, subscription_id FROM running_totals WHERE id = ANY(%s) ORDER BY id
    ON CONFLICT (running_total_id) DO UPDATE SET deferred_at = NULL
"""
_LOCK_FROM = """
    SELECT FROM running_totals WHERE id = ANY(%s::bigint[] || ARRAY(
        SELECT t.id FROM subscription_periods f
        JOIN subscription_periods p
          ON p.subscription_id = f.subscription_id AND p.start_at >= f.start_at
        JOIN running_totals t ON t.tenant_id = f.tenant_id
          AND t.subscription_id = f.subscription_id AND t.period_id = p.id
        WHERE f.tenant_id = %s AND f.id = ANY(%s)))
    ORDER BY id FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class LateSpan:
    """What one adjustment billed of a total, on top of what stood before `first_position`.

    `state`, as JSON, is what the total remembered there, where its terms price single events.
    """

    running_total_id: int
    first_position: int
    quantity: Decimal
    event_count: int
    revenue: Decimal
    state: str | None = None


def lock_totals_from(
    *, tenant_id: UUID, period_ids: Collection[UUID], more_ids: Collection[int]
) -> None:
    """Lock the totals of these periods and of later ones of their subscriptions, and more, by id.

    Whoever bills one of those periods locks some of them first, so that it and the caller see
    each other's invoices.
    """
    with hot_cursor() as cursor:
        cursor.execute(_LOCK_FROM, (list(more_ids), tenant_id, list(period_ids)))


def unbill_period(period_id: UUID) -> None:
    """Take the watermark of a period's locked totals away: all of its usage is to be billed again.

    Of those that have no line too: by the total of no dimension, a new one knows that it is late.
    """
    with hot_cursor() as cursor:
        rows = cursor.execute(_WHOLE, (period_id,)).fetchall()
        cursor.execute(_NOT_LATE, ([total_id for (total_id,) in rows],))


def unbill_spans(spans: Sequence[LateSpan]) -> None:
    """Put the watermark of locked totals back to before these spans: they are late again."""
    if not spans:
        return
    columns = [
        [span.running_total_id for span in spans],
        [span.first_position - 1 for span in spans],
        [span.quantity for span in spans],
        [span.event_count for span in spans],
        [span.revenue for span in spans],
        [span.state for span in spans],
    ]
    with hot_cursor() as cursor:
        cursor.execute(_SPANS, columns)
        cursor.execute(_LATE_AGAIN, (columns[0],))
