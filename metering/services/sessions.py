"""The life of sessions beside the drain: closed for their silence, summed up, killed."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, transaction

from aforo.errors import Refused
from aforo.ids import new_id
from aforo.money import plain
from aforo.tenancy import clock
from aforo.tenancy.clock import NOW_SQL
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from metering.ingest import inbox, killed, wake
from metering.ingest.events import SESSION_SUMMARY
from metering.ingest.gates import MAX_TEXT
from metering.models import Session

MOST_AT_ONCE = 1_000  # of a tenant, in one transaction: about half a megabyte of events
SOURCE, DOOR = "SESSION", "sessions"

# Rows that a drain holds are left for the next time: neither ever waits for the other here.
_CLOSE = f"""
    UPDATE sessions SET closed_at = due.last_seen_at + due.timeout, close_reason = 'TIMEOUT'
    FROM (
        SELECT quiet.id, quiet.last_seen_at, limits.timeout
        FROM (SELECT make_interval(secs => %s) AS timeout) AS limits, tenants t
        CROSS JOIN LATERAL (
            SELECT s.id, s.last_seen_at FROM sessions s
            WHERE s.tenant_id = t.id AND s.closed_at IS NULL
              AND s.last_seen_at <= {NOW_SQL} - limits.timeout
            ORDER BY s.last_seen_at LIMIT %s FOR UPDATE SKIP LOCKED
        ) AS quiet
    ) AS due
    WHERE sessions.id = due.id
"""  # noqa: S608 - our own constant
_TAKE = """
    UPDATE sessions SET summed_up_at = %s
    FROM (
        SELECT id FROM sessions
        WHERE tenant_id = %s AND summed_up_at IS NULL AND customer_name <> ''
          AND closed_at > %s::timestamptz - interval '24 hours'
          AND greatest(closed_at, last_seen_at) <= %s::timestamptz - make_interval(secs => %s)
        ORDER BY closed_at LIMIT %s FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE sessions.id = due.id
    RETURNING sessions.id, session_id, customer_name, agent_id, product_type, started_at,
              last_seen_at, calls, heartbeats, tokens, cost, revenue, close_reason
"""


def close_silent() -> int:
    """Close every open session that was silent for an hour on its tenant's clock; how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLOSE, (settings.SESSION_TIMEOUT_SECONDS, 10 * MOST_AT_ONCE))
        return int(cursor.rowcount)


def sum_up_all(*, now: datetime) -> int:
    """Send the sums of closed sessions for the tenants that ask for it; how many were sent."""
    asking = Tenant.objects.filter(session_summaries=True)
    return sum(sum_up(tenant_id=tenant.pk, now=clock.at(tenant, now)) for tenant in asking)


def sum_up(*, tenant_id: UUID, now: datetime) -> int:
    """Send one event per closed session that was not summed up yet, exactly once.

    The event and the note that it was sent are one transaction. What comes for a session within
    a minute of its end is still in the sum; sessions closed over a day ago are left alone.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        idle = settings.SESSION_IDLE_SECONDS
        cursor.execute(_TAKE, (now, tenant_id, now, now, idle, MOST_AT_ONCE))
        rows = cursor.fetchall()
        if not rows:
            return 0
        inbox.put(
            batch_id=new_id(),
            tenant_id=tenant_id,
            source=SOURCE,
            door=DOOR,
            received_at=now,
            event_count=len(rows),
            refused={},
            array=msgspec.json.encode([_summary(*row) for row in rows]),
        )
        wake.after_commit(tenant_id)
    return len(rows)


def _summary(  # noqa: PLR0917 - the columns of the statement, in their order
    row_id: UUID,
    session_id: str,
    customer: str,
    agent_id: str,
    product_type: str,
    started_at: datetime,
    last_seen_at: datetime,
    calls: int,
    heartbeats: int,
    tokens: object,
    cost: object,
    revenue: object,
    reason: str,
) -> dict[str, object]:
    """The one event that says what a session came to. Money is text, so that no digit is lost."""
    return {
        "customerId": customer,
        "metricName": SESSION_SUMMARY,
        "quantity": 1,
        "occurredAt": last_seen_at,
        "idempotencyKey": f"session:{row_id}",
        "sessionId": session_id,
        **({"agentId": agent_id} if agent_id else {}),
        **({"productType": product_type} if product_type else {}),
        "metadata": {
            "calls": calls,
            "heartbeats": heartbeats,
            "tokens": plain(tokens),  # type: ignore[arg-type]  # numeric columns
            "durationSeconds": int((last_seen_at - started_at).total_seconds()),
            "cost": plain(cost),  # type: ignore[arg-type]
            "revenue": plain(revenue),  # type: ignore[arg-type]
            "startedAt": started_at.astimezone(UTC),
            "endedAt": last_seen_at.astimezone(UTC),
            "reason": reason,
        },
    }


@transaction.atomic
def kill_session(
    *, tenant: Tenant, session_id: str, reason: str, actor: Actor, now: datetime
) -> Session:
    """Kill a session: every answer that it gets from about a second later on says so.

    Also before anything of it was seen. Its usage is still counted. Again changes nothing, and
    tells every door once more. Raises Refused for what can be no session's name.
    """
    if not session_id or len(session_id) > MAX_TEXT or "\x00" in session_id:
        raise Refused(f"sessionId must have 1 to {MAX_TEXT} characters, none of them nul")
    session = _locked(tenant, session_id, now)
    if session.killed_at is None:
        session.killed_at, session.killed_by, session.kill_reason = now, actor.name[:200], reason
        if session.closed_at is None:
            session.closed_at, session.close_reason = now, Session.CloseReason.KILLED
        session.save(
            update_fields=["killed_at", "killed_by", "kill_reason", "closed_at", "close_reason"]
        )
        audit.record(
            tenant=tenant,
            actor=actor,
            action="SESSION_KILLED",
            target=session,
            now=now,
            changes=audit.differences({"killed_at": None}, {"killed_at": now}),
            reason=reason,
        )
    transaction.on_commit(killed.announce, robust=True)
    return session


def _locked(tenant: Tenant, session_id: str, now: datetime) -> Session:
    """The session's row under our lock; made when nothing of it was seen yet."""
    own = Session.objects.for_tenant(tenant)
    own.bulk_create(
        [Session(tenant=tenant, session_id=session_id, started_at=now, last_seen_at=now)],
        ignore_conflicts=True,
    )
    locked: Session = own.select_for_update().get(session_id=session_id)
    return locked
