"""Old receipts, summed into days before they go: the account of a tenant still balances."""

from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Min

from aforo.tenancy.models import Tenant
from metering.models import Receipt

# Taken away and summed by one statement: nobody sees a moment without them, or with both.
_SUM_UP = """
    WITH gone AS (
        DELETE FROM receipts
        WHERE tenant_id = %(tenant)s AND drained_at >= %(start)s AND drained_at < %(end)s
        RETURNING *)
    INSERT INTO receipt_days (tenant_id, day, source, event_count, counted, unbilled, duplicates,
                              dead, held)
    SELECT tenant_id, %(day)s, source, sum(event_count), sum(counted), sum(unbilled),
           sum(duplicates), sum(dead), sum(held)
    FROM gone GROUP BY tenant_id, source
    ON CONFLICT (tenant_id, day, source) DO UPDATE SET
        event_count = receipt_days.event_count + excluded.event_count,
        counted = receipt_days.counted + excluded.counted,
        unbilled = receipt_days.unbilled + excluded.unbilled,
        duplicates = receipt_days.duplicates + excluded.duplicates,
        dead = receipt_days.dead + excluded.dead,
        held = receipt_days.held + excluded.held
"""
_DAY = timedelta(days=1)


def sum_up_receipts(*, before: datetime) -> int:
    """Sum all receipts of whole days (UTC) before a moment, day by day; how many days it took.

    Each day is a transaction of its own: stopped anywhere, the next call goes on.
    """
    days = 0
    for tenant in Tenant.objects.order_by("id"):
        while (day := _oldest_day(tenant.pk)) is not None and day + _DAY <= before:
            with transaction.atomic(), connection.cursor() as cursor:
                end = {"end": day + _DAY, "day": day.date()}
                cursor.execute(_SUM_UP, {"tenant": tenant.pk, "start": day, **end})
            days += 1
    return days


def _oldest_day(tenant_id: UUID) -> datetime | None:
    own = Receipt.objects.filter(tenant_id=tenant_id)  # any tenant: scoped by its bare id
    first: datetime | None = own.aggregate(first=Min("drained_at"))["first"]
    return first and datetime.combine(first.astimezone(UTC), time(), tzinfo=UTC)
