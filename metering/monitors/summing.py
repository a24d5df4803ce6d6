"""Usage by the hour and by the day, summed up from events behind the drains, each event once.

Events are taken by their ids. An id is safe to pass only when every transaction that was writing
events when it was drawn is over: until then one of them may still bring a lower one.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

IDS_PER_PAGE = 500_000  # a second of one processor, most of it to group them
MOST_PAGES = 5  # per call: bill runs wait behind it for a worker, and the next call goes on
SETTLED = timedelta(minutes=10)  # after its end, the usage of an hour is there and summed up
HOURS_KEPT = 100  # days; the longest baseline is 60
DAYS_KEPT = 800

# Of this database alone, and whoever only reads is not among them.
_WRITERS = """
    SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}') FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'usage_events'::regclass
      AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_DRAWN = """
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END, statement_timestamp()
    FROM usage_events_id_seq
"""
_ROW = """
    INSERT INTO usage_summing (id, summed_until, pending_transactions) VALUES (1, 0, '{}')
    ON CONFLICT DO NOTHING
"""
_LOCK = """
    SELECT summed_until, pending_until, pending_since, pending_transactions FROM usage_summing
    WHERE id = 1 FOR UPDATE
"""
_LACKS = """
    SELECT EXISTS (
        SELECT FROM usage_summing u, usage_events_id_seq q
        WHERE u.id = 1 AND q.is_called AND q.last_value > u.summed_until AND u.summed_at < %s)
"""
_WAITS = "SELECT EXISTS (SELECT FROM inbox_batches WHERE tenant_id = %s AND received_at < %s)"
_PEND = """
    UPDATE usage_summing SET pending_until = %s, pending_since = %s, pending_transactions = %s
    WHERE id = 1
"""
_PASSED = "UPDATE usage_summing SET summed_until = %s WHERE id = 1"
_REACHED = """
    UPDATE usage_summing SET summed_at = greatest(summed_at, %s)
    WHERE id = 1 AND summed_until >= %s
"""
# What monitors look at: a quantity where it adds up, else the mean of what its events say.
_LEVEL = """
    CASE WHEN aggregation IN ('COUNT', 'UNIQUE', 'SUM') THEN {q}
         WHEN {n} = 0 THEN 0 ELSE round({q} / {n}, 12) END
"""
_AFTER = _LEVEL.format(q="(q0 + quantity)", n="(n0 + event_count)")
_BEFORE = _LEVEL.format(q="q0", n="n0")
# An event that takes another one back counts as one less, in the hour of that one.
_SUM = f"""
    WITH fresh AS MATERIALIZED (
        SELECT e.tenant_id, date_trunc('hour', e.occurred_at, 'UTC') AS hour, e.subscription_id,
               e.unit_id, e.customer_id, u.aggregation,
               CASE WHEN u.aggregation IN ('COUNT', 'UNIQUE')
                    THEN sum(CASE e.source WHEN 'VOID' THEN -1 ELSE 1 END)
                    ELSE sum(e.quantity) END AS quantity,
               sum(CASE e.source WHEN 'VOID' THEN -1 ELSE 1 END)::bigint AS event_count,
               sum(e.revenue) AS revenue, min(e.id) AS first_id, max(e.id) AS last_id
        FROM usage_events e JOIN billable_units u ON u.id = e.unit_id
        WHERE e.id > %(after)s AND e.id <= %(until)s AND e.subscription_id IS NOT NULL
          AND e.customer_id IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5, 6),
    moved AS MATERIALIZED (
        SELECT *, {_BEFORE} AS l0, {_AFTER} AS l1 FROM (
            SELECT f.*, coalesce(h.quantity, 0) AS q0, coalesce(h.event_count, 0) AS n0
            FROM fresh f LEFT JOIN hourly_usage h
              ON h.tenant_id = f.tenant_id AND h.hour = f.hour
             AND h.subscription_id = f.subscription_id AND h.unit_id = f.unit_id) AS beside),
    hours AS (
        INSERT INTO hourly_usage AS kept (tenant_id, hour, subscription_id, unit_id, customer_id,
            quantity, event_count, revenue, first_event_id, last_event_id)
        SELECT tenant_id, hour, subscription_id, unit_id, customer_id, quantity, event_count,
               revenue, first_id, last_id FROM moved
        ON CONFLICT (tenant_id, hour, subscription_id, unit_id) DO UPDATE SET
            quantity = kept.quantity + excluded.quantity,
            event_count = kept.event_count + excluded.event_count,
            revenue = kept.revenue + excluded.revenue,
            last_event_id = excluded.last_event_id)
    INSERT INTO daily_usage AS kept (tenant_id, day, subscription_id, unit_id, customer_id,
        quantity, event_count, revenue, hours, level, squares, first_event_id, last_event_id)
    SELECT tenant_id, (hour AT TIME ZONE 'UTC')::date, subscription_id, unit_id, customer_id,
           sum(quantity), sum(event_count), sum(revenue),
           sum((n0 + event_count > 0)::int - (n0 > 0)::int), sum(l1 - l0), sum(l1 * l1 - l0 * l0),
           min(first_id), max(last_id)
    FROM moved GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (tenant_id, day, subscription_id, unit_id) DO UPDATE SET
        quantity = kept.quantity + excluded.quantity,
        event_count = kept.event_count + excluded.event_count,
        revenue = kept.revenue + excluded.revenue,
        hours = kept.hours + excluded.hours,
        level = kept.level + excluded.level,
        squares = kept.squares + excluded.squares,
        last_event_id = excluded.last_event_id
"""  # noqa: S608 - our own constants
_FORGET_HOURS = """
    DELETE FROM hourly_usage h USING tenants t
    WHERE t.id = h.tenant_id
      AND h.hour < coalesce(t.clock_frozen_at, %s + t.clock_offset) - make_interval(days => %s)
"""
_FORGET_DAYS = """
    DELETE FROM daily_usage d USING tenants t
    WHERE t.id = d.tenant_id
      AND d.day < (coalesce(t.clock_frozen_at, %s + t.clock_offset)
                   - make_interval(days => %s))::date
"""


def sum_usage() -> int:
    """Sum up events that no transaction under way can add to; how many ids were passed.

    May run twice, at once: a page is passed under a lock, in the transaction that adds it up. While
    drains never pause, events are summed up one call after the one that noted them.
    """
    until, since = _settled()
    passed = 0
    for _ in range(MOST_PAGES):
        page = _sum_page(until)
        if not page:
            break
        passed += page
    with connection.cursor() as cursor:
        cursor.execute(_REACHED, (since, until))
    return passed


def is_behind(*, tenant_id: UUID, now: datetime, at: datetime) -> bool:
    """Whether what waits to be summed up of a tenant is so old that it would look like silence.

    Events were written, or are still being written, before the hours that are judged now had ended;
    or a batch that it sent has waited in the inbox for so long. How much waits says nothing: where
    much comes, much does. `now` is everybody's clock, `at` the tenant's, by which its batches were
    received.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LACKS, (now - SETTLED,))
        (waits,) = cursor.fetchone()
        if not waits:
            cursor.execute(_WAITS, (tenant_id, at - SETTLED))
            (waits,) = cursor.fetchone()
    return bool(waits)


@transaction.atomic
def _settled() -> tuple[int, datetime | None]:
    """The id up to which every event is there, and the moment before which no higher was drawn.

    What is not certain yet is noted for later, with its own moment. None: as it was before.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ROW)
        cursor.execute(_LOCK)
        summed, pending, since, earlier = cursor.fetchone()
        cursor.execute(_DRAWN)  # before the writers are looked at: who draws later draws more
        drawn, drawn_at = cursor.fetchone()
        cursor.execute(_WRITERS)
        (writers,) = cursor.fetchone()
        if not writers:
            cursor.execute(_PEND, (None, None, []))
            return int(drawn), drawn_at
        if pending is not None and set(earlier) & set(writers):
            return int(summed), None
        cursor.execute(_PEND, (drawn, drawn_at, writers))
        return (int(summed), None) if pending is None else (int(pending), since)


@transaction.atomic
def _sum_page(until: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
        after = cursor.fetchone()[0]
        page_end = min(until, after + IDS_PER_PAGE)
        if page_end <= after:
            return 0
        cursor.execute(_SUM, {"after": after, "until": page_end})
        cursor.execute(_PASSED, (page_end,))
        return int(page_end - after)


def forget_old_sums(*, now: datetime) -> int:
    """Delete hours and days that nothing looks at any more, by each tenant's clock; their number.

    `now` is everybody's.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_HOURS, (now, HOURS_KEPT))
        hours = cursor.rowcount
        cursor.execute(_FORGET_DAYS, (now, DAYS_KEPT))
        return int(hours + cursor.rowcount)
