"""Margin guards: who must bring in how much more than they cost, and what was decided of them."""

from decimal import Decimal

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from aforo.fields import ExactDecimalField
from aforo.tenancy.models import TenantOwned
from catalog.models import BillableUnit, Customer, RatePlan


class MarginLevel(models.TextChoices):
    """How far a margin has fallen; spelled as gateways read it."""

    NONE = "NONE", "none"
    L1_ALERT = "L1_ALERT", "alert"
    L2_THROTTLE = "L2_THROTTLE", "throttle"
    L3_BLOCK = "L3_BLOCK", "block"


class MarginReason(models.TextChoices):
    """Why a guard says what it says."""

    OK = "OK", "margin above every threshold"
    BELOW_FLOOR = "BELOW_FLOOR", "too little cost to judge by"
    LOW_MARGIN = "LOW_MARGIN", "margin below a threshold"
    NO_REVENUE = "NO_REVENUE", "cost without any revenue"
    RELEASED = "RELEASED", "the guard does not apply any more"


class MarginChannel(models.TextChoices):
    """Ways to be told; those of webhook endpoints, which do the telling."""

    WEBHOOK = "WEBHOOK", "Signed webhooks"
    SLACK = "SLACK", "Slack-compatible"
    EMAIL = "EMAIL", "E-mail"


def _channels(level: str) -> "ArrayField[list[str], list[str]]":
    return ArrayField(
        models.CharField(max_length=16, choices=MarginChannel),
        default=list,
        db_default=[],
        blank=True,
        help_text=f"which endpoints are told that {level}; none: all that take the fact",
    )


class MarginGuard(TenantOwned):
    """Thresholds in percent for the margin of each customer in its scope, judged one by one.

    With a unit it looks at that unit's revenue and cost alone. It judges only what has cost more
    than `cost_floor`, in the currency of the customer's subscriptions.
    """

    class Scope(models.TextChoices):
        ALL = "ALL", "All customers"
        PLAN = "PLAN", "Customers on a plan"
        CUSTOMER = "CUSTOMER", "One customer"
        COHORT = "COHORT", "A cohort"

    class Cohort(models.TextChoices):
        START_MONTH = "START_MONTH", "month of the subscription's start"
        TAG = "TAG", "customer tag"

    class Mode(models.TextChoices):
        ENFORCE = "ENFORCE", "Enforce"
        ALERT_ONLY = "ALERT_ONLY", "Alert only"

    code = models.SlugField(max_length=80, help_text="what files and gateways call it")
    name = models.CharField(max_length=200, blank=True)
    unit = models.ForeignKey(
        BillableUnit,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="margin_guards",
        help_text="empty: everything that a customer uses",
    )
    scope = models.CharField(max_length=8, choices=Scope, default=Scope.ALL)
    rate_plan = models.ForeignKey(
        RatePlan, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    customer = models.ForeignKey(
        Customer, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    cohort = models.CharField(max_length=12, choices=Cohort, blank=True, default="")
    cohort_value = models.CharField(
        max_length=80, blank=True, default="", help_text="such as 2026-11, or the tag"
    )
    mode = models.CharField(
        max_length=10,
        choices=Mode,
        default=Mode.ENFORCE,
        help_text="ENFORCE throttles and blocks; ALERT_ONLY tells people and lets requests pass",
    )
    warn_below = models.DecimalField(
        max_digits=12, decimal_places=6, default=Decimal(20), help_text="percent"
    )
    throttle_below = models.DecimalField(
        max_digits=12, decimal_places=6, default=Decimal(10), help_text="percent"
    )
    block_below = models.DecimalField(
        max_digits=12, decimal_places=6, default=Decimal(0), help_text="percent"
    )
    warn_channels = _channels("a customer is warned of")
    throttle_channels = _channels("one is throttled")
    block_channels = _channels("one is blocked")
    throttle_rate = models.PositiveSmallIntegerField(
        default=100, help_text="percent of requests that gateways let through while throttled"
    )
    requests_per_second = models.DecimalField(
        max_digits=12,
        decimal_places=3,
        null=True,
        blank=True,
        help_text="that gateways which can count let through while throttled; empty: the share",
    )
    cost_floor = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=Decimal(1),
        help_text="nobody is judged before having cost more than this in the period",
    )
    retry_after = models.PositiveIntegerField(
        default=1800, help_text="seconds after which blocked callers may ask again"
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "margin_guards"
        ordering = ("code",)
        constraints = (
            models.UniqueConstraint(
                name="margin_guard_code_is_taken_once",
                fields=("tenant", "code"),
                condition=Q(archived_at__isnull=True),
            ),
            models.CheckConstraint(
                name="margin_thresholds_fall",
                condition=Q(
                    warn_below__gte=F("throttle_below"), throttle_below__gte=F("block_below")
                ),
            ),
            models.CheckConstraint(
                name="margin_guard_lets_through_a_share",
                condition=Q(throttle_rate__lte=100, cost_floor__gte=0),
            ),
            models.CheckConstraint(
                name="margin_guard_lets_something_through",
                condition=Q(requests_per_second=None) | Q(requests_per_second__gt=0),
            ),
            models.CheckConstraint(
                name="margin_guard_names_its_scope",
                condition=Q(scope="ALL", rate_plan=None, customer=None, cohort="", cohort_value="")
                | Q(scope="PLAN", rate_plan__isnull=False, customer=None, cohort="")
                | Q(scope="CUSTOMER", rate_plan=None, customer__isnull=False, cohort="")
                | (Q(scope="COHORT", rate_plan=None, customer=None) & ~Q(cohort_value="")),
            ),
        )

    def __str__(self) -> str:
        return self.name or self.code

    def channels_of(self, level: str) -> list[str]:
        """Who is told that somebody came to a level; empty: every endpoint that takes the fact."""
        channels: list[str] = {
            MarginLevel.L1_ALERT.value: self.warn_channels,
            MarginLevel.L2_THROTTLE.value: self.throttle_channels,
            MarginLevel.L3_BLOCK.value: self.block_channels,
        }.get(level, [])
        return channels

    @property
    def is_in_force(self) -> bool:
        return self.is_active and self.archived_at is None


class GuardFloor(TenantOwned):
    """A segment's own floor: customers on this plan are blocked below it, not below the guard's.

    The other two thresholds keep their distance to that of blocking.
    """

    guard = models.ForeignKey(MarginGuard, on_delete=models.CASCADE, related_name="floors")
    rate_plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="+")
    percent = models.DecimalField(max_digits=12, decimal_places=6)

    class Meta:
        db_table = "guard_floors"
        ordering = ("guard", "rate_plan")
        constraints = (
            models.UniqueConstraint(
                name="guard_has_one_floor_per_plan", fields=("guard", "rate_plan")
            ),
        )

    def __str__(self) -> str:
        return f"{self.percent:f} % for {self.rate_plan}"


class MarginState(TenantOwned):
    """Where a customer stands with a guard, and by which numbers; one row for each pair."""

    guard = models.ForeignKey(MarginGuard, on_delete=models.CASCADE, related_name="states")
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    level = models.CharField(max_length=12, choices=MarginLevel, default=MarginLevel.NONE)
    reason = models.CharField(max_length=12, choices=MarginReason, default=MarginReason.OK)
    currency = models.CharField(max_length=3)
    revenue = ExactDecimalField(default=0)
    cost = ExactDecimalField(default=0)
    percent = ExactDecimalField(null=True, help_text="null: there is no revenue")
    threshold = ExactDecimalField(
        null=True, help_text="the percentage that the margin has fallen below; null: none"
    )
    since = models.DateTimeField(help_text="when the level changed last")
    judged_at = models.DateTimeField(help_text="when these numbers were found")

    class Meta:
        db_table = "margin_states"
        verbose_name = "guarded customer"
        ordering = ("guard", "customer")
        constraints = (
            models.UniqueConstraint(
                name="customer_stands_at_one_level_of_a_guard", fields=("guard", "customer")
            ),
        )
        indexes = (models.Index(name="margins_of_customer", fields=("tenant", "customer")),)

    def __str__(self) -> str:
        return f"{self.customer}: {self.level}"


class GuardDecision(TenantOwned):
    """A decision that was not a plain yes, with its reason and numbers. Never changed."""

    guard = models.ForeignKey(MarginGuard, on_delete=models.CASCADE, related_name="decisions")
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    before = models.CharField(max_length=12, choices=MarginLevel)
    level = models.CharField(max_length=12, choices=MarginLevel)
    reason = models.CharField(max_length=12, choices=MarginReason)
    mode = models.CharField(max_length=10, choices=MarginGuard.Mode)
    currency = models.CharField(max_length=3)
    revenue = ExactDecimalField()
    cost = ExactDecimalField()
    percent = ExactDecimalField(null=True)
    decided_at = models.DateTimeField()

    class Meta:
        db_table = "guard_decisions"
        ordering = ("-decided_at", "-id")
        indexes = (models.Index(name="guard_decisions_by_time", fields=("tenant", "-decided_at")),)
        triggers = (
            pgtrigger.Protect(name="guard_decisions_never_change", operation=pgtrigger.Update),
        )

    def __str__(self) -> str:
        return f"{self.before} to {self.level}"


class GuardCount(TenantOwned):
    """How often a guard has said a plain yes on a day (UTC, of the tenant's clock)."""

    guard = models.ForeignKey(MarginGuard, on_delete=models.CASCADE, related_name="counts")
    day = models.DateField()
    plain = models.BigIntegerField(default=0)

    class Meta:
        db_table = "guard_counts"
        ordering = ("guard", "-day")
        constraints = (
            models.UniqueConstraint(name="guard_counts_a_day_once", fields=("guard", "day")),
        )

    def __str__(self) -> str:
        return f"{self.plain} on {self.day}"


class CustomerTag(TenantOwned):
    """A word that puts customers into a cohort."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="tags")
    tag = models.CharField(max_length=80)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "customer_tags"
        ordering = ("tag", "customer")
        constraints = (
            models.UniqueConstraint(name="customer_has_a_tag_once", fields=("customer", "tag")),
        )
        indexes = (models.Index(name="customers_by_tag", fields=("tenant", "tag")),)

    def __str__(self) -> str:
        return self.tag
