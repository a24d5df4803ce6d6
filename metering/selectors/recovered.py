"""What dead letters were worth: the price of events that were refused first and counted after all.

Found by the batches that replays were sent in, of which there are few, never by scanning events.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from aforo.money import ZERO

# Receipts of replays and events of replays have indexes of their own.
_RECOVERED = """
    WITH replays AS MATERIALIZED (
        SELECT batch_id, counted FROM receipts
        WHERE tenant_id = %(tenant)s AND source = 'REPLAY'
          AND drained_at >= %(since)s AND drained_at < coalesce(%(until)s::timestamptz, 'infinity'))
    SELECT s.currency, sum(e.revenue), (SELECT coalesce(sum(counted), 0) FROM replays)
    FROM replays r
    JOIN usage_events e ON e.batch_id = r.batch_id AND e.source = 'REPLAY'
    JOIN subscriptions s ON s.id = e.subscription_id
    WHERE e.running_total_id IS NOT NULL
    GROUP BY s.currency
"""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Events of replays that count, and their exact marginal price by currency.

    An event that is held, because its period is billed already, is not part of it until accepted.
    """

    events: int
    revenue: dict[str, Decimal]

    def in_currency(self, currency: str) -> Decimal:
        return self.revenue.get(currency, ZERO)


def recovered_revenue(
    tenant_id: UUID, *, since: datetime, until: datetime | None = None
) -> Recovered:
    """What replays drained from `since` to before `until` have recovered, on everybody's clock.

    It reaches back as far as receipts are kept.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RECOVERED, {"tenant": tenant_id, "since": since, "until": until})
        rows = cursor.fetchall()
    revenue = {currency: amount for currency, amount, _ in rows}
    return Recovered(int(rows[0][2]) if rows else 0, revenue)
