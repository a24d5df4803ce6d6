"""Sums as the events of some subscription would leave them."""

from datetime import timedelta
from decimal import Decimal

from django.db import connection

from metering.models import DailyUsage, HourlyUsage

_DAYS = """
    INSERT INTO daily_usage (tenant_id, day, subscription_id, unit_id, customer_id, quantity,
        event_count, revenue, hours, level, squares, first_event_id, last_event_id)
    SELECT tenant_id, (hour AT TIME ZONE 'UTC')::date, subscription_id, unit_id, customer_id,
        sum(quantity), sum(event_count), sum(revenue), count(*), sum(quantity),
        sum(quantity * quantity), min(first_event_id), max(last_event_id)
    FROM hourly_usage GROUP BY 1, 2, 3, 4, 5
"""


def used(subscription, unit, first, quantities, *, revenue="0.01"):
    """One hour after the other from `first` with these quantities; 0 and None are silent hours."""
    HourlyUsage.objects.bulk_create(
        HourlyUsage(
            tenant_id=subscription.tenant_id,
            hour=first + number * timedelta(hours=1),
            subscription_id=subscription.pk,
            unit_id=unit.pk,
            customer_id=subscription.customer_id,
            quantity=quantity,
            event_count=1,
            revenue=Decimal(revenue) * quantity,
            first_event_id=number + 1,
            last_event_id=number + 1,
        )
        for number, quantity in enumerate(quantities)
        if quantity
    )
    add_up_days()


def add_up_days():
    """The days of all hours that there are."""
    DailyUsage.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(_DAYS)
        cursor.execute("ANALYZE hourly_usage, daily_usage")
