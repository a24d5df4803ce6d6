"""Subscriptions: one customer on one offering, pinned to versions, with stored periods."""

from datetime import datetime
from decimal import Decimal

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from aforo.periods import Period
from aforo.tenancy.models import TenantOwned
from catalog.models.billing_entities import BillingEntity
from catalog.models.customers import Customer
from catalog.models.offerings import Offering
from catalog.models.rate_plans import RatePlanVersion


class TsTzRange(Func):
    """`tstzrange(start, end, bounds)` over two columns of a row."""

    function = "TSTZRANGE"


class Subscription(TenantOwned):
    """One customer on one offering from `start_at` until `end_at` (exclusive; null: open)."""

    class State(models.TextChoices):
        ACTIVE = "ACTIVE", "Active"
        CANCELLED = "CANCELLED", "Cancelled"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="subscriptions")
    billing_entity = models.ForeignKey(
        BillingEntity, on_delete=models.PROTECT, related_name="subscriptions"
    )
    state = models.CharField(max_length=16, choices=State, default=State.ACTIVE)
    currency = models.CharField(max_length=3)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField(null=True, blank=True)
    anchor_day = models.PositiveSmallIntegerField(help_text="1 to 31; 31 is the last day")
    time_zone = models.CharField(max_length=64, help_text="where its periods turn")
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "subscriptions"
        ordering = ("customer", "start_at")
        indexes = (models.Index(name="subscriptions_of_customer", fields=("tenant", "customer")),)
        constraints = (
            models.CheckConstraint(
                name="anchor_day_is_a_day_of_a_month",
                condition=Q(anchor_day__gte=1, anchor_day__lte=31),
            ),
            models.CheckConstraint(
                name="subscription_ends_after_its_start",
                condition=Q(end_at__isnull=True) | Q(end_at__gt=F("start_at")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.customer} on {self.offering}"


class SubscriptionPlan(TenantOwned):
    """The rate plan version a subscription is pinned to, for good."""

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="plans")
    version = models.ForeignKey(
        RatePlanVersion, on_delete=models.PROTECT, related_name="subscription_plans"
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "subscription_plans"
        ordering = ("subscription", "position")
        constraints = (
            models.UniqueConstraint(
                name="subscription_holds_a_version_once", fields=("subscription", "version")
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} for {self.subscription}"


class SubscriptionPeriod(TenantOwned):
    """One billing period [start_at, end_at), stored when it comes near and never recomputed."""

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="periods")
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    whole_start_at = models.DateTimeField(
        help_text="where a full period would have begun; earlier than the start when partial"
    )
    whole_end_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="where a full period would have ended; set when the subscription ends before",
    )

    class Meta:
        db_table = "subscription_periods"
        ordering = ("subscription", "start_at")
        indexes = (models.Index(name="periods_by_end", fields=("tenant", "end_at")),)
        constraints = (
            models.CheckConstraint(
                name="period_starts_before_it_ends",
                condition=Q(whole_start_at__lte=F("start_at"), start_at__lt=F("end_at")),
            ),
            models.CheckConstraint(
                name="period_ends_within_the_whole_one",
                condition=Q(whole_end_at__isnull=True) | Q(whole_end_at__gt=F("end_at")),
            ),
            ExclusionConstraint(
                name="periods_of_a_subscription_do_not_overlap",
                expressions=(
                    ("subscription", RangeOperators.EQUAL),
                    (
                        TsTzRange("start_at", "end_at", RangeBoundary()),
                        RangeOperators.OVERLAPS,
                    ),
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.start_at:%Y-%m-%d} to {self.end_at:%Y-%m-%d}"

    @property
    def seconds(self) -> Decimal:
        """How long it lasts. Prices per period are due for `seconds / whole_seconds` of it."""
        return self._span().seconds

    @property
    def whole_seconds(self) -> Decimal:
        """How long the full period lasts that this one is, or is a part of."""
        return self._span(self.whole_end_at).whole_seconds

    def _span(self, end: datetime | None = None) -> Period:
        return Period(self.start_at, end or self.end_at, self.whole_start_at)
