"""Running totals: what every price and every proof is computed from."""

from django.db import models
from django.db.models import Q

from aforo.fields import ExactDecimalField


class RunningTotal(models.Model):
    """Usage of one unit, under one plan version, in one stored period of one subscription.

    Locked while it changes, so `position` is gapless in commit order and `digest` chains all of
    its events. `billed_position` is the watermark: once set, further events are held, or appended
    for the next invoice, which bills what they add to the price of what stood there.
    """

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField()
    subscription_id = models.UUIDField()
    plan_version_id = models.UUIDField()
    unit_id = models.UUIDField()
    dimension = models.TextField(default="", help_text="value of the pricing dimension, if any")
    period_id = models.UUIDField()
    quantity = ExactDecimalField(default=0)
    event_count = models.BigIntegerField(
        default=0, help_text="events that stand: a taken back one does not"
    )
    state = models.JSONField(
        null=True, help_text="what a pricing model or an aggregation must remember, if any"
    )
    rollover = ExactDecimalField(
        default=0,
        db_default=0,
        help_text="included units carried over from earlier periods, less those passed on",
    )
    passed_on = ExactDecimalField(
        default=0, db_default=0, help_text="units that later periods may use, since it was billed"
    )
    carried = ExactDecimalField(
        null=True, help_text="level at the end of the period before, of a recurring unit"
    )
    revenue = ExactDecimalField(default=0, help_text="sum of marginals, exact")
    cost = ExactDecimalField(default=0)
    position = models.BigIntegerField(default=0)
    digest = models.BinaryField(default=bytes(32))
    billed_position = models.BigIntegerField(null=True)
    billed_quantity = ExactDecimalField(null=True, help_text="quantity at the watermark")
    billed_event_count = models.BigIntegerField(null=True, help_text="event_count at the watermark")
    billed_revenue = ExactDecimalField(null=True, help_text="revenue at the watermark")
    billed_state = models.JSONField(null=True, help_text="state at the watermark")
    billed_adjustments = ExactDecimalField(
        null=True, help_text="sum of rating adjustments at the watermark"
    )

    class Meta:
        db_table = "running_totals"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                name="running_total_is_kept_once",
                fields=(
                    "period_id",
                    "plan_version_id",
                    "unit_id",
                    "dimension",
                ),
            ),
            models.CheckConstraint(
                name="watermark_is_where_the_total_stands",
                condition=Q(billed_position__isnull=True) | Q(billed_position__gte=0),
            ),
            models.CheckConstraint(
                name="watermark_says_what_stood_there",
                condition=Q(
                    billed_position__isnull=True,
                    billed_quantity__isnull=True,
                    billed_event_count__isnull=True,
                    billed_revenue__isnull=True,
                )
                | Q(
                    billed_position__isnull=False,
                    billed_quantity__isnull=False,
                    billed_event_count__isnull=False,
                    billed_revenue__isnull=False,
                ),
            ),
        )
        indexes = (
            models.Index(name="totals_of_subscription", fields=("tenant_id", "subscription_id")),
        )

    def __str__(self) -> str:
        return f"total {self.pk}"


class LateTotal(models.Model):
    """A total that took events after it was billed: the next invoice of its subscription adjusts.

    Only a list of where to look, so that no index has to follow every position: what is owed is
    read from the total, under its lock.
    """

    running_total_id = models.BigIntegerField(primary_key=True)
    tenant_id = models.UUIDField()
    subscription_id = models.UUIDField()
    deferred_at = models.DateTimeField(
        null=True, help_text="when a run found that it would take the invoice below zero"
    )

    class Meta:
        db_table = "late_totals"
        indexes = (
            models.Index(
                name="late_totals_of_subscription", fields=("tenant_id", "subscription_id")
            ),
        )

    def __str__(self) -> str:
        return f"total {self.pk}"


class UniqueValue(models.Model):
    """One distinct value that a UNIQUE total has seen, as a hash."""

    id = models.BigAutoField(primary_key=True)
    running_total_id = models.BigIntegerField()
    value = models.UUIDField(help_text="blake2b-128 of the value")
    is_carried = models.BooleanField(
        default=False, db_default=False, help_text="came with the level of the period before"
    )

    class Meta:
        db_table = "unique_values"
        constraints = (
            models.UniqueConstraint(
                name="value_is_counted_once", fields=("running_total_id", "value")
            ),
        )

    def __str__(self) -> str:
        return self.value.hex


class RatingAdjustment(models.Model):
    """A change of what a total owes that no event brought, such as a new allowance.

    It was written when the total stood at `position`; quantity, rollover and carried are those of
    the total from there on, until its next event or adjustment. `cost` is what the change costs.
    """

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField()
    running_total = models.ForeignKey(
        RunningTotal, on_delete=models.PROTECT, related_name="adjustments"
    )
    amount = ExactDecimalField()
    reason = models.TextField()
    position = models.BigIntegerField(null=True)
    quantity = ExactDecimalField(null=True)
    rollover = ExactDecimalField(null=True)
    carried = ExactDecimalField(null=True)
    cost = ExactDecimalField(
        null=True, db_default=0, help_text="empty: written before costs followed"
    )
    moved_values = models.JSONField(
        null=True, help_text="of UNIQUE, hashes that came or left when levels went over once more"
    )
    created_at = models.DateTimeField()

    class Meta:
        db_table = "rating_adjustments"
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.amount} on {self.running_total}"
