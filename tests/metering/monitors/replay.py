"""Generated usage judged hour by hour and day by day, as monitors would have seen it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from django.db import connection

from metering.models import Alert, HourlyUsage, MonitorSettings
from metering.monitors.anomalies import find_anomalies
from metering.monitors.drops import find_drops
from tests.factories import BillableUnitFactory, SubscriptionFactory, TenantFactory
from tests.metering.monitors.generated import DAY, DROP_DAYS
from tests.metering.monitors.sums import add_up_days

FIRST = datetime(2025, 1, 6, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)


def replay(customers, hours, **settings):
    """Counts of what was planted, found, judged, and raised though nothing was planted."""
    tenant = TenantFactory()
    of = {_stored(tenant, one, hours).pk: one for one in customers}
    told, counts = MonitorSettings(**settings), Counter()
    add_up_days()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE hourly_usage, daily_usage")  # as autovacuum would have, long ago
    for number in range(hours):
        now = FIRST + (number + 1) * HOUR
        find_anomalies(tenant=tenant, settings=told, hour=now - HOUR, now=now)
        _see_spikes(of, number, now, counts)
        if now.hour == 0:
            find_drops(tenant=tenant, settings=told, end=now, now=now)
    for alert in Alert.objects.filter(tenant=tenant):
        number = int((alert.raised_at - FIRST) / HOUR) - 1
        counts[alert.kind] += 1
        counts[f"false {alert.kind}"] += not of[alert.subscription_id].is_about_something(number)
    _see_drops(of, counts)
    counts["judged"] = HourlyUsage.objects.filter(tenant_id=tenant.pk).count() - 24 * len(of)
    return counts


def _stored(tenant, one, hours):
    """A subscription with this usage."""
    unit = BillableUnitFactory(tenant=tenant, name=one.name)
    subscription = SubscriptionFactory(
        tenant=tenant, customer__external_id=one.name, start_at=FIRST
    )
    HourlyUsage.objects.bulk_create(
        (
            HourlyUsage(
                tenant_id=tenant.pk,
                hour=FIRST + number * HOUR,
                subscription_id=subscription.pk,
                unit_id=unit.pk,
                customer_id=subscription.customer_id,
                quantity=quantity,
                event_count=2,
                revenue=0,
                first_event_id=number,
                last_event_id=number,
            )
            for number, quantity in enumerate(one.quantities[:hours])
            if quantity
        ),
        batch_size=2000,
    )
    return subscription


def _see_spikes(of, number, now, counts):
    for subscription_id, one in of.items():
        if number in one.spikes:
            seen = Alert.objects.filter(subscription_id=subscription_id, last_seen_at=now)
            counts["spikes"] += 1
            counts["spikes found"] += seen.filter(kind="USAGE_ANOMALY").exists()


def _see_drops(of, counts):
    for subscription_id, one in of.items():
        for drop in one.drops:
            since = FIRST + drop * HOUR
            within = (since, since + (DROP_DAYS * DAY) * HOUR)
            seen = Alert.objects.filter(subscription_id=subscription_id, raised_at__range=within)
            counts["drops"] += 1
            counts["drops found"] += seen.filter(kind="USAGE_DROP").exists()
