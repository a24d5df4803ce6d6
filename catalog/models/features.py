"""Features: what can be switched on, limited or set, per rate plan and per subscription."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from aforo.tenancy.models import TenantOwned
from catalog.models.billable_units import BillableUnit
from catalog.models.rate_plans import RatePlan
from catalog.models.subscriptions import Subscription


class Feature(TenantOwned):
    """Something that customers may or may not use, asked for by its key."""

    class Kind(models.TextChoices):
        BOOLEAN = "BOOLEAN", "on or off"
        LIMIT = "LIMIT", "so much of a billable unit per period"
        VALUE = "VALUE", "a setting, such as a model tier"

    key = models.CharField(max_length=120, help_text="`featureKey` on the wire; never changes")
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.BOOLEAN)
    unit = models.ForeignKey(
        BillableUnit,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="features",
        help_text="what a LIMIT is a quota of",
    )
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "features"
        ordering = ("key",)
        constraints = (
            models.UniqueConstraint(name="feature_key_is_taken_once", fields=("tenant", "key")),
            models.CheckConstraint(
                name="a_limit_names_its_unit",
                condition=Q(kind="LIMIT", unit__isnull=False)
                | (~Q(kind="LIMIT") & Q(unit__isnull=True)),
            ),
        )

    def __str__(self) -> str:
        return self.key


class PlanFeature(TenantOwned):
    """A feature that a rate plan has: in force at once, for whoever is on any version of it."""

    rate_plan = models.ForeignKey(RatePlan, on_delete=models.CASCADE, related_name="features")
    feature = models.ForeignKey(Feature, on_delete=models.CASCADE, related_name="plans")
    limit = models.DecimalField(
        max_digits=36,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="of a LIMIT, per period; empty: unlimited",
    )
    value = models.CharField(max_length=200, blank=True, help_text="of a VALUE")

    class Meta:
        db_table = "plan_features"
        ordering = ("rate_plan", "feature")
        constraints = (
            models.UniqueConstraint(
                name="plan_has_a_feature_once", fields=("rate_plan", "feature")
            ),
            models.CheckConstraint(
                name="limit_of_a_plan_is_not_negative",
                condition=Q(limit__isnull=True) | Q(limit__gte=0),
            ),
        )

    def __str__(self) -> str:
        return f"{self.feature} in {self.rate_plan}"


class FeatureOverride(TenantOwned):
    """What one subscription has instead of its plans: more, less, or something for a while."""

    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="feature_overrides"
    )
    feature = models.ForeignKey(Feature, on_delete=models.CASCADE, related_name="overrides")
    enabled = models.BooleanField(default=True, help_text="off: taken away, whatever the plan says")
    limit = models.DecimalField(
        max_digits=36,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="of a LIMIT, per period; empty: unlimited",
    )
    value = models.CharField(max_length=200, blank=True, help_text="of a VALUE")
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="from then on it is as the plan says; empty: never"
    )
    reason = models.TextField(blank=True)
    actor_name = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "feature_overrides"
        ordering = ("subscription", "feature")
        constraints = (
            models.UniqueConstraint(
                name="subscription_overrides_a_feature_once", fields=("subscription", "feature")
            ),
            models.CheckConstraint(
                name="limit_of_an_override_is_not_negative",
                condition=Q(limit__isnull=True) | Q(limit__gte=0),
            ),
        )

    def __str__(self) -> str:
        return f"{self.feature} of {self.subscription}"

    def is_over(self, now: datetime) -> bool:
        """Whether it says nothing any more."""
        return self.expires_at is not None and self.expires_at <= now
