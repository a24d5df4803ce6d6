"""Alerts about what nothing is expected of any more: a subscription, or its use of a unit."""

from datetime import datetime
from uuid import UUID

from django.db import connection

from metering.models import AlertKind
from metering.services.alerts import recover_alerts

# Of subscriptions s and billable_units u at %(at)s: whether usage of the one is expected under the
# other. A running period says by its plans and its contract what it prices.
IS_EXPECTED = """
    s.state <> 'PAUSED' AND (s.end_at IS NULL OR s.end_at > %(at)s) AND u.archived_at IS NULL
    AND NOT EXISTS (
        SELECT FROM subscription_periods p
        WHERE p.subscription_id = s.id AND p.start_at <= %(at)s AND p.end_at > %(at)s
          AND NOT EXISTS (
            SELECT FROM subscription_plans q
            JOIN unit_prices x ON x.version_id = q.version_id AND x.unit_id = u.id
            WHERE q.subscription_id = s.id
              AND (q.start_at IS NULL OR q.start_at <= p.start_at)
              AND (q.end_at IS NULL OR q.end_at > p.start_at))
          AND NOT EXISTS (
            SELECT FROM contract_prices y
            WHERE y.phase_id = p.contract_phase_id AND y.unit_id = u.id))
"""
_OVER = f"""
    SELECT a.subject FROM alerts a
    WHERE a.tenant_id = %(tenant)s AND a.kind = %(kind)s AND a.state = 'OPEN' AND NOT EXISTS (
        SELECT FROM subscriptions s JOIN billable_units u ON u.id = a.unit_id
        WHERE s.id = a.subscription_id AND {IS_EXPECTED})
"""  # noqa: S608 - our own constant


def recover_of_ended(*, tenant_id: UUID, kind: AlertKind, at: datetime, now: datetime) -> int:
    """Close what is open of subscriptions that are over by `at`, or are paused; how many.

    And of units that are archived, or that nothing prices for the subscription any more. Judgements
    look at usage alone, and these will not have any. Both moments are the tenant's.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OVER, {"tenant": tenant_id, "kind": kind.value, "at": at})
        subjects = [subject for (subject,) in cursor.fetchall()]
    return recover_alerts(tenant_id=tenant_id, kind=kind, subjects=subjects, now=now)
