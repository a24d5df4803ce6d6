"""Subscriptions: one customer on one offering, pinned to versions, with stored periods."""

from datetime import datetime
from decimal import Decimal

import pgtrigger
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

_BILLED_NEVER_MOVE = """
    IF EXISTS (
        SELECT FROM invoices i
        WHERE i.period_id = OLD.id AND i.kind = 'PERIOD' AND i.status <> 'VOID'
    ) THEN
        RAISE EXCEPTION 'a billed period never moves';
    END IF;
    RETURN COALESCE(NEW, OLD);
"""


class TsTzRange(Func):
    """`tstzrange(start, end, bounds)` over two columns of a row."""

    function = "TSTZRANGE"


class Subscription(TenantOwned):
    """One customer on one offering from `start_at` until `end_at` (exclusive; null: open)."""

    class State(models.TextChoices):
        CREATED = "CREATED", "Created"
        TRIALING = "TRIALING", "Trialing"
        ACTIVE = "ACTIVE", "Active"
        PAST_DUE = "PAST_DUE", "Past due"
        PAUSED = "PAUSED", "Paused"
        EXPIRING_SOON = "EXPIRING_SOON", "Expiring soon"
        SUSPENDED = "SUSPENDED", "Suspended"
        EXPIRED = "EXPIRED", "Expired"
        CANCELLED = "CANCELLED", "Cancelled"

    # States in which periods are stored ahead: usage is taken, whoever may be let in meanwhile.
    RUNNING = (
        State.CREATED,
        State.TRIALING,
        State.ACTIVE,
        State.PAST_DUE,
        State.EXPIRING_SOON,
        State.SUSPENDED,
    )
    OVER = (State.EXPIRED, State.CANCELLED)

    class Cycle(models.TextChoices):
        WEEKLY = "WEEKLY", "Weekly"
        MONTHLY = "MONTHLY", "Monthly"
        QUARTERLY = "QUARTERLY", "Quarterly"
        ANNUAL = "ANNUAL", "Annual"
        DAYS = "DAYS", "Every so many days"
        MONTHS = "MONTHS", "Every so many months"

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
    billing_cycle = models.CharField(
        max_length=10, choices=Cycle, default=Cycle.MONTHLY, db_default="MONTHLY"
    )
    cycle_count = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="so many days or months per period, of these two cycles"
    )
    anchor_month = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="1 to 12: where quarters or years turn"
    )
    trial_end_at = models.DateTimeField(null=True, blank=True)
    auto_convert = models.BooleanField(
        default=True, db_default=True, help_text="whether it is paid for when its trial ends"
    )
    invoice_threshold = models.DecimalField(
        max_digits=38,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="usage is invoiced before the period ends when it is worth so much",
    )
    time_zone = models.CharField(max_length=64, help_text="where its periods turn")
    cancels_at_end = models.BooleanField(
        default=False, db_default=False, help_text="whether somebody has cancelled it to its end"
    )
    next_offering = models.ForeignKey(
        Offering,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="what it changes to at a later time",
    )
    next_offering_at = models.DateTimeField(null=True, blank=True)
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
            models.CheckConstraint(
                name="a_later_offering_says_when",
                condition=Q(next_offering__isnull=True, next_offering_at__isnull=True)
                | Q(next_offering__isnull=False, next_offering_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.customer} on {self.offering}"

    @property
    def paid_from(self) -> datetime:
        """When its first period that costs something begins."""
        return self.trial_end_at or self.start_at

    @property
    def stops_at(self) -> datetime | None:
        """When its periods end: with itself, or with a trial that nobody will pay after."""
        ends = [self.end_at, None if self.auto_convert else self.trial_end_at]
        return min((end for end in ends if end is not None), default=None)


class SubscriptionPlan(TenantOwned):
    """A rate plan version that a subscription is pinned to: for good, or until plans change.

    It holds for periods that start in [start_at, end_at); null is open.
    """

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="plans")
    version = models.ForeignKey(
        RatePlanVersion, on_delete=models.PROTECT, related_name="subscription_plans"
    )
    position = models.PositiveSmallIntegerField(default=0)
    start_at = models.DateTimeField(null=True, blank=True)
    end_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "subscription_plans"
        ordering = ("subscription", "position")
        constraints = (
            models.UniqueConstraint(
                name="subscription_holds_a_version_once",
                fields=("subscription", "version"),
                condition=Q(end_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} for {self.subscription}"


class SubscriptionPeriod(TenantOwned):
    """One billing period [start_at, end_at), stored when it comes near and never recomputed."""

    class Kind(models.TextChoices):
        REGULAR = "REGULAR", "Regular"
        TRIAL = "TRIAL", "Trial"

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="periods")
    kind = models.CharField(
        max_length=8,
        choices=Kind,
        default=Kind.REGULAR,
        db_default="REGULAR",
        help_text="usage of a trial is counted and costs nothing",
    )
    contract_phase = models.ForeignKey(
        "catalog.ContractPhase",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="periods",
        help_text="the customer's own terms, as they were when the period began",
    )
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
        triggers = (
            pgtrigger.Trigger(
                name="billed_periods_never_move",
                when=pgtrigger.Before,
                operation=pgtrigger.UpdateOf("start_at", "end_at", "kind")  # type: ignore[no-untyped-call]  # as the library has it
                | pgtrigger.Delete,
                func=_BILLED_NEVER_MOVE,
            ),
        )

    def __str__(self) -> str:
        return f"{self.start_at:%Y-%m-%d} to {self.end_at:%Y-%m-%d}"

    @property
    def seconds(self) -> Decimal:
        """How long it lasts. Prices per period are due for `seconds / whole_seconds` of it."""
        return self.span.seconds

    @property
    def whole_seconds(self) -> Decimal:
        """How long the full period lasts that this one is, or is a part of."""
        return self.span.whole_seconds

    def days(self, zone: str) -> int:
        """Its calendar days in `zone`: a day belongs to the period that begins on it."""
        return self.span.days(zone)

    def whole_days(self, zone: str) -> int:
        """The calendar days in `zone` of the full period that this one is, or is a part of."""
        return self.span.whole_days(zone)

    @property
    def span(self) -> Period:
        """Its times as a value."""
        return Period(self.start_at, self.end_at, self.whole_start_at, self.whole_end_at)
