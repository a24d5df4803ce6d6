"""Subscriptions whose usage so far is worth an invoice before the period ends."""

from datetime import datetime
from uuid import UUID

from aforo.tenancy.models import Tenant
from metering.ingest.connection import hot_cursor

# What the running totals have come to, less what the last invoice of usage so far was based on.
# Its spans hold that, discounts and earlier invoices aside.
_REACHED = """
    SELECT s.id
    FROM subscriptions s
    JOIN subscription_periods p ON p.subscription_id = s.id
     AND p.kind = 'REGULAR' AND p.start_at <= %(now)s AND p.end_at > %(now)s
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.revenue), 0) + coalesce(sum(a.amount), 0) AS worth
        FROM running_totals t
        LEFT JOIN LATERAL (
            SELECT sum(amount) AS amount FROM rating_adjustments WHERE running_total_id = t.id
        ) a ON true
        WHERE t.period_id = p.id
    ) AS used
    CROSS JOIN LATERAL (
        SELECT coalesce(max(revenue), 0) AS worth
        FROM (SELECT sum(x.revenue) AS revenue
              FROM invoices i
              JOIN invoice_lines l ON l.invoice_id = i.id
              JOIN bill_run_event_index x ON x.line_id = l.id
              WHERE i.period_id = p.id AND i.kind = 'PROGRESS' AND i.status <> 'VOID'
              GROUP BY i.id) AS each
    ) AS asked
    WHERE s.tenant_id = %(tenant)s AND s.invoice_threshold IS NOT NULL
      AND used.worth - asked.worth >= s.invoice_threshold AND used.worth > asked.worth
    ORDER BY s.id
"""


def subscriptions_over_threshold(tenant: Tenant, now: datetime) -> list[UUID]:
    """Their ids, by what they used in the period that runs at `now`, on the tenant's clock."""
    with hot_cursor() as cursor:
        rows = cursor.execute(_REACHED, {"tenant": tenant.pk, "now": now}).fetchall()
    return [subscription_id for (subscription_id,) in rows]
