"""Usage by the hour and by the day it occurred in: what monitors and live revenue read.

Summed up from events by their ids, each event once; hours and days are those of UTC. `quantity` is
the number of events where a unit counts events, else the sum of what they say.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from aforo.fields import ExactDecimalField


class HourlyUsage(models.Model):
    """What one subscription used of one unit in one hour."""

    pk = models.CompositePrimaryKey("tenant_id", "hour", "subscription_id", "unit_id")
    tenant_id = models.UUIDField()
    hour = models.DateTimeField()
    subscription_id = models.UUIDField()
    unit_id = models.UUIDField()
    customer_id = models.UUIDField()
    quantity = ExactDecimalField()
    event_count = models.BigIntegerField()
    revenue = ExactDecimalField(help_text="marginal, in the subscription's currency")
    first_event_id = models.BigIntegerField()
    last_event_id = models.BigIntegerField()

    class Meta:
        db_table = "hourly_usage"

    def __str__(self) -> str:
        return f"{self.unit_id} at {self.hour:%Y-%m-%d %H:00}"


class DailyUsage(models.Model):
    """The sums of the hours of a day, and what the spread of these hours is computed from."""

    pk = models.CompositePrimaryKey("tenant_id", "day", "subscription_id", "unit_id")
    tenant_id = models.UUIDField()
    day = models.DateField()
    subscription_id = models.UUIDField()
    unit_id = models.UUIDField()
    customer_id = models.UUIDField()
    quantity = ExactDecimalField()
    event_count = models.BigIntegerField()
    revenue = ExactDecimalField()
    hours = models.IntegerField(help_text="hours with usage")
    level = ExactDecimalField(help_text="sum over these hours of what monitors look at")
    squares = ExactDecimalField(help_text="sum of its squares")
    first_event_id = models.BigIntegerField()
    last_event_id = models.BigIntegerField()

    class Meta:
        db_table = "daily_usage"

    def __str__(self) -> str:
        return f"{self.unit_id} on {self.day}"


class UsageSumming(models.Model):
    """How far events are summed up: the one row says all of it.

    Ids up to `pending_until` are summed up once the transactions that were writing events when it
    was noted are over: one of them may still bring a lower id. Every id that was drawn before
    `summed_at` is summed up, which says how old what lacks can be.
    """

    id = models.SmallIntegerField(primary_key=True)
    summed_until = models.BigIntegerField(default=0)
    summed_at = models.DateTimeField(db_default=Now())
    pending_until = models.BigIntegerField(null=True)
    pending_since = models.DateTimeField(null=True, help_text="when that was the last id drawn")
    pending_transactions = ArrayField(models.TextField(), default=list)

    class Meta:
        db_table = "usage_summing"

    def __str__(self) -> str:
        return f"events up to {self.summed_until}"
