"""Alerts about what nothing is expected of any more: a subscription, or its use of a unit."""

from datetime import datetime
from uuid import UUID

from django.db import connection

from metering.models import AlertKind
from metering.services.alerts import recover_alerts

# Of subscriptions s and billable_units u at %(at)s: whether usage of the one under the other is
# looked at, and whether some is expected. A running period says by its plans and its contract what
# it prices; what is used without a price may end without a word.
IS_WATCHED = """
    s.state <> 'PAUSED' AND (s.end_at IS NULL OR s.end_at > %(at)s) AND u.archived_at IS NULL
"""
IS_PRICED = """
    NOT EXISTS (
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
_USED = {
    AlertKind.USAGE_ANOMALY: "FROM hourly_usage k WHERE k.hour = %(at)s",
    AlertKind.USAGE_DROP: """
        FROM daily_usage k WHERE k.day >= (%(at)s AT TIME ZONE 'UTC')::date - 7
          AND k.day < (%(at)s AT TIME ZONE 'UTC')::date""",
}
_OVER = {
    kind: f"""
        SELECT a.subject FROM alerts a
        WHERE a.tenant_id = %(tenant)s AND a.kind = '{kind}' AND a.state = 'OPEN' AND NOT EXISTS (
            SELECT FROM subscriptions s JOIN billable_units u ON u.id = a.unit_id
            WHERE s.id = a.subscription_id AND {IS_WATCHED} AND ({IS_PRICED} OR EXISTS (
                SELECT {used} AND k.tenant_id = a.tenant_id AND k.event_count > 0
                  AND k.subscription_id = a.subscription_id AND k.unit_id = a.unit_id)))
    """  # noqa: S608 - our own constants
    for kind, used in _USED.items()
}


def recover_of_ended(*, tenant_id: UUID, kind: AlertKind, at: datetime, now: datetime) -> int:
    """Close what is open of subscriptions that are over by `at`, or are paused; how many.

    And of units that are archived, or that nothing prices for the subscription any more and that
    are not used either: in the hour that begins by `at`, or the week that ends then. Judgements
    look at usage alone, and these will not have any. Both moments are the tenant's.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OVER[kind], {"tenant": tenant_id, "at": at})
        subjects = [subject for (subject,) in cursor.fetchall()]
    return recover_alerts(tenant_id=tenant_id, kind=kind, subjects=subjects, now=now)
