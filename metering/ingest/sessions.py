"""Sessions, derived from the events of a drain: one upsert in the drain's own transaction.

Rows are written in the order of (tenant, session), after totals and unique values: two drains
that meet in several sessions wait for each other, and never both at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.ids import new_id
from aforo.money import ZERO, exact, plain
from metering.ingest.arrivals import Arrival
from metering.ingest.connection import hot_cursor
from metering.ingest.enrichment import Routed
from metering.ingest.events import HEARTBEAT, SESSION_SUMMARY
from metering.ingest.heartbeats import Boundary, boundary_of, product_type_of, session_of
from metering.ingest.rating import Spent
from metering.ingest.tokens import tokens_of

# What a session's first event said of it stays. A session that was closed for its silence lives
# again when something comes, unless it was summed up: that is done once.
_KEEP = """
    INSERT INTO sessions AS s (id, tenant_id, session_id, customer_name, agent_id, product_type,
        started_at, last_seen_at, calls, heartbeats, tokens, cost, revenue, closed_at,
        close_reason, killed_by, kill_reason)
    SELECT given.*, CASE WHEN ended IS NULL THEN '' ELSE 'ENDED' END, '', ''
    FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
                %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::numeric[],
                %s::numeric[], %s::numeric[], %s::timestamptz[])
        AS given (id, tenant, session, customer, agent, product, started, seen, calls, heartbeats,
                  tokens, cost, revenue, ended)
    ON CONFLICT (tenant_id, session_id) DO UPDATE SET
        customer_name = coalesce(nullif(s.customer_name, ''), excluded.customer_name),
        agent_id = coalesce(nullif(s.agent_id, ''), excluded.agent_id),
        product_type = coalesce(nullif(s.product_type, ''), excluded.product_type),
        started_at = least(s.started_at, excluded.started_at),
        last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at),
        calls = s.calls + excluded.calls,
        heartbeats = s.heartbeats + excluded.heartbeats,
        tokens = s.tokens + excluded.tokens,
        cost = s.cost + excluded.cost,
        revenue = s.revenue + excluded.revenue,
        (closed_at, close_reason) = (
            SELECT CASE WHEN anew THEN excluded.closed_at ELSE s.closed_at END,
                   CASE WHEN anew THEN excluded.close_reason ELSE s.close_reason END
            FROM (SELECT s.closed_at IS NULL OR (
                s.close_reason = 'TIMEOUT' AND s.summed_up_at IS NULL
                AND excluded.last_seen_at > s.last_seen_at)) AS judged (anew))
"""


@dataclass(slots=True)
class _Sum:
    """What the events of one drain say of one session."""

    started_at: datetime
    last_seen_at: datetime
    customer_name: str = ""
    agent_id: str = ""
    product_type: str = ""
    calls: int = 0
    heartbeats: int = 0
    tokens: Decimal = ZERO
    cost: Decimal = ZERO
    revenue: Decimal = ZERO
    ended_at: datetime | None = None


def note(routed: Iterable[Routed], spent: Sequence[Spent]) -> None:
    """Write down the sessions of new events, and what these earned and cost.

    Called in the drain's transaction. Events without a session cost a look each.
    """
    arrivals = [
        arrival
        for arrival, _ in routed
        if arrival.event.sessionId is not None or arrival.event.metricName == HEARTBEAT
    ]
    if not arrivals:
        return
    sums: dict[tuple[UUID, str], _Sum] = {}
    with exact():
        for arrival in arrivals:
            _add(sums, arrival)
        for arrival, revenue, cost in spent:
            known = sums.get((arrival.batch.tenant_id, arrival.event.sessionId or ""))
            if known is not None:
                known.revenue += revenue
                known.cost += cost
    if sums:
        _write(sums)


def _add(sums: dict[tuple[UUID, str], _Sum], arrival: Arrival) -> None:
    event, batch = arrival.event, arrival.batch
    session = session_of(event)
    if session is None or event.metricName == SESSION_SUMMARY:
        return
    # An event that comes more than a day late says nothing of now: its own time counts.
    seen = batch.received_at if arrival.occurred >= batch.late_before else arrival.occurred
    found = sums.setdefault((batch.tenant_id, session), _Sum(min(arrival.occurred, seen), seen))
    found.started_at = min(found.started_at, arrival.occurred)
    found.last_seen_at = max(found.last_seen_at, seen)
    found.agent_id = found.agent_id or event.agentId or ""
    if event.metricName == HEARTBEAT:
        found.heartbeats += 1
        found.product_type = found.product_type or product_type_of(event)
        if boundary_of(event) == Boundary.END:
            found.ended_at = found.ended_at or batch.received_at
        return
    found.calls += 1
    found.tokens += tokens_of(event)
    found.customer_name = found.customer_name or event.customerId
    found.product_type = found.product_type or event.productType or ""


def _write(sums: dict[tuple[UUID, str], _Sum]) -> None:
    rows = [
        (
            new_id(), tenant_id, session, one.customer_name, one.agent_id, one.product_type,
            one.started_at, one.last_seen_at, one.calls, one.heartbeats, plain(one.tokens),
            plain(one.cost), plain(one.revenue), one.ended_at,
        )
        for (tenant_id, session), one in sorted(sums.items(), key=_order)
    ]  # fmt: skip
    with hot_cursor() as cursor:
        cursor.execute(_KEEP, [list(column) for column in zip(*rows, strict=True)])


def _order(item: tuple[tuple[UUID, str], _Sum]) -> tuple[UUID, str]:
    return item[0]
