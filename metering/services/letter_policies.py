"""What becomes of dead letters that nobody decides about: they expire, and too many are told."""

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from aforo.outbox.services import publish
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor

FACT = "dead_letter.threshold_reached"
LETTERS_AT_A_TIME = 5_000
POLICY = Actor.system("policy of the tenant")
# By the tenant's own clock, on which letters were received: a live tenant's is everybody's. The
# moment is given: a clock that is asked for each row would read every open letter.
_BEFORE = """
    coalesce(t.clock_frozen_at, %s + t.clock_offset) - make_interval(days => t.dead_letter_days)
"""
_OVERDUE = f"""
    SELECT t.id FROM tenants t
    WHERE t.dead_letter_days IS NOT NULL AND EXISTS (
        SELECT FROM dead_letters d
        WHERE d.tenant_id = t.id AND d.status = 'OPEN' AND d.last_seen_at < {_BEFORE})
"""  # noqa: S608 - our own constant
_EXPIRE = f"""
    UPDATE dead_letters SET status = 'EXPIRED', decided_at = %s, decided_by = %s, reason = %s
    WHERE id IN (
        SELECT d.id FROM tenants t JOIN dead_letters d ON d.tenant_id = t.id AND d.status = 'OPEN'
        WHERE t.id = %s AND d.last_seen_at < {_BEFORE}
        ORDER BY d.last_seen_at LIMIT %s FOR UPDATE OF d SKIP LOCKED)
"""  # noqa: S608 - likewise
# Nobody counts further than to the threshold, and that in an index of open letters alone.
_COUNTED = """
    SELECT t.id, t.dead_letter_threshold, count(d.one) >= t.dead_letter_threshold AS reached
    FROM tenants t LEFT JOIN LATERAL (
        SELECT 1 AS one FROM dead_letters WHERE tenant_id = t.id AND status = 'OPEN'
        LIMIT t.dead_letter_threshold) AS d ON true
    WHERE t.dead_letter_threshold IS NOT NULL GROUP BY t.id
"""
_REARM = f"""
    DELETE FROM letter_alarms a WHERE NOT EXISTS (
        SELECT FROM ({_COUNTED}) AS counted WHERE counted.id = a.tenant_id AND counted.reached)
"""  # noqa: S608 - likewise
_RAISE = f"""
    INSERT INTO letter_alarms (tenant_id, reached_at)
    SELECT id, %s FROM ({_COUNTED}) AS counted WHERE reached ORDER BY id
    ON CONFLICT DO NOTHING RETURNING tenant_id
"""  # noqa: S608 - likewise


def expire_letters(*, now: datetime) -> int:
    """Expire open letters that were last refused longer ago than their tenant keeps them.

    They stay, whole and accounted for, and can no longer be replayed. May run twice, at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OVERDUE, (now,))
        tenant_ids = [tenant_id for (tenant_id,) in cursor.fetchall()]
    expired = 0
    for tenant_id in tenant_ids:
        while page := _expire_page(tenant_id, now=now):
            expired += page
    return expired


@transaction.atomic
def _expire_page(tenant_id: UUID, *, now: datetime) -> int:
    tenant = Tenant.objects.get(pk=tenant_id)
    at, days = clock.at(tenant, now), tenant.dead_letter_days
    reason = f"open for {days} days"
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRE, (at, POLICY.name, reason, tenant_id, now, LETTERS_AT_A_TIME))
        expired = int(cursor.rowcount)
    if expired:
        audit.record(
            tenant=tenant,
            actor=POLICY,
            action="DEAD_LETTERS_EXPIRED",
            target=tenant,
            now=at,
            changes={"letters": expired, "days": days},
        )
    return expired


@transaction.atomic
def tell_thresholds(*, now: datetime) -> int:
    """Publish once for each tenant that has as many open letters as its threshold.

    It is told again only after it was below in between. May run twice: the row of the alarm says
    who has been told.
    """
    with connection.cursor() as cursor:
        cursor.execute(_REARM)
        cursor.execute(_RAISE, (now,))
        reached = [tenant_id for (tenant_id,) in cursor.fetchall()]
    for tenant in Tenant.objects.filter(pk__in=reached):
        publish(
            tenant_id=tenant.pk,
            fact=FACT,
            payload={"threshold": tenant.dead_letter_threshold},
            now=clock.at(tenant, now),
        )
    return len(reached)
