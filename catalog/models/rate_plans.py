"""Rate plans: a draft can be edited, a published version never changes (the database refuses)."""

import pgtrigger
from django.db import models
from django.db.models import Q

from aforo.tenancy.models import TenantOwned
from catalog.models.billable_units import BillableUnit
from catalog.models.products import Product


class RatePlan(TenantOwned):
    """A named price list; its prices live in versions."""

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    currency = models.CharField(max_length=3)
    tax_code = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text="of its fees"
    )
    products = models.ManyToManyField(Product, related_name="rate_plans", blank=True)
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "rate_plans"
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                name="rate_plan_name_is_taken_once",
                fields=("tenant", "name"),
                condition=Q(archived_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return self.name


class RatePlanVersion(TenantOwned):
    """What a plan costs, as of one publication: fees of the period and a price per unit."""

    class Status(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        PUBLISHED = "PUBLISHED", "Published"

    rate_plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="versions")

    class BaseFeeTiming(models.TextChoices):
        ARREARS = "ARREARS", "in arrears"
        ADVANCE = "ADVANCE", "in advance"

    class Proration(models.TextChoices):
        SECOND = "SECOND", "by seconds"
        DAY = "DAY", "by calendar days"

    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    base_fee = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    base_fee_timing = models.CharField(
        max_length=8,
        choices=BaseFeeTiming,
        default=BaseFeeTiming.ARREARS,
        db_default="ARREARS",
    )
    setup_fee = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, db_default=0, help_text="once, at the start"
    )
    proration = models.CharField(
        max_length=8, choices=Proration, default=Proration.SECOND, db_default="SECOND"
    )
    maximum_spend = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="per full period; empty: none",
    )
    dimension_key = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="metadata key whose values multiply charges",
    )
    dimension_pricing = models.JSONField(
        default=dict, blank=True, help_text="{value of the key: multiplier}"
    )
    credits_allowed = models.BooleanField(
        default=False, db_default=False, help_text="whether rates may be below zero"
    )
    minimum_spend = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="per full period; 0: none"
    )
    discount_percent = models.DecimalField(
        max_digits=15, decimal_places=12, default=0, help_text="of the subtotal, 0 to 100"
    )
    discount_amount = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="per period, after the percentage"
    )
    created_at = models.DateTimeField(editable=False)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "rate_plan_versions"
        ordering = ("rate_plan", "-number")
        constraints = (
            models.UniqueConstraint(
                name="version_number_is_used_once", fields=("rate_plan", "number")
            ),
            models.UniqueConstraint(
                name="one_draft_per_rate_plan",
                fields=("rate_plan",),
                condition=Q(status="DRAFT"),
            ),
            models.CheckConstraint(
                name="published_versions_say_when",
                condition=Q(status="DRAFT", published_at__isnull=True)
                | Q(status="PUBLISHED", published_at__isnull=False),
            ),
            models.CheckConstraint(
                name="maximum_spend_is_not_below_the_minimum",
                condition=Q(maximum_spend__isnull=True)
                | Q(maximum_spend__gte=models.F("minimum_spend")),
            ),
            models.CheckConstraint(
                name="fees_and_discounts_are_not_negative",
                condition=Q(
                    base_fee__gte=0,
                    setup_fee__gte=0,
                    minimum_spend__gte=0,
                    discount_percent__gte=0,
                    discount_percent__lte=100,
                    discount_amount__gte=0,
                ),
            ),
        )
        triggers = (
            pgtrigger.Protect(
                name="published_versions_never_change",
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Q(old__status="PUBLISHED"),
            ),
        )

    def __str__(self) -> str:
        return f"{self.rate_plan} v{self.number}"

    @property
    def is_published(self) -> bool:
        return self.status == self.Status.PUBLISHED


_OF_PUBLISHED_NEVER_CHANGE = """
    IF EXISTS (
        SELECT FROM rate_plan_versions v
        WHERE v.status = 'PUBLISHED'
          AND v.id IN (
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.version_id END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.version_id END)
    ) THEN
        RAISE EXCEPTION 'prices of a published version never change';
    END IF;
    RETURN COALESCE(NEW, OLD);
"""


class VersionCurrency(TenantOwned):
    """The fees of one version in another currency than the plan's own."""

    version = models.ForeignKey(
        RatePlanVersion, on_delete=models.CASCADE, related_name="currencies"
    )
    currency = models.CharField(max_length=3)
    base_fee = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    setup_fee = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    minimum_spend = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    maximum_spend = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    discount_amount = models.DecimalField(max_digits=38, decimal_places=12, default=0)

    class Meta:
        db_table = "version_currencies"
        verbose_name_plural = "version currencies"
        ordering = ("version", "currency")
        constraints = (
            models.UniqueConstraint(
                name="version_has_fees_once_per_currency", fields=("version", "currency")
            ),
            models.CheckConstraint(
                name="fees_in_a_currency_are_not_negative",
                condition=Q(
                    base_fee__gte=0, setup_fee__gte=0, minimum_spend__gte=0, discount_amount__gte=0
                ),
            ),
        )
        triggers = (
            pgtrigger.Trigger(
                name="published_fees_never_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func=_OF_PUBLISHED_NEVER_CHANGE,
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} in {self.currency}"


class UnitPrice(TenantOwned):
    """What one billable unit costs in one version: a pricing model and its terms.

    A row without a currency is in the plan's own; others replace it for subscriptions in theirs.
    """

    class Timing(models.TextChoices):
        ARREARS = "ARREARS", "in arrears"
        ADVANCE = "ADVANCE", "in advance"

    version = models.ForeignKey(RatePlanVersion, on_delete=models.CASCADE, related_name="prices")
    unit = models.ForeignKey(BillableUnit, on_delete=models.PROTECT, related_name="prices")
    terms = models.JSONField(help_text='{"model": ..., and its terms}: see docs/pricing.md')
    timing = models.CharField(max_length=8, choices=Timing, default=Timing.ARREARS)
    currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    group_by = models.JSONField(
        default=list, blank=True, help_text="up to two metadata keys: a line per value"
    )
    rollover_periods = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="how many periods unused included units live on"
    )
    rollover_cap = models.DecimalField(
        max_digits=38, decimal_places=12, null=True, blank=True, help_text="in units"
    )
    rollover_cap_percent = models.DecimalField(
        max_digits=15, decimal_places=12, null=True, blank=True, help_text="of the allowance"
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "unit_prices"
        ordering = ("version", "position", "unit__name")
        constraints = (
            models.UniqueConstraint(
                name="unit_has_one_price_per_version_and_currency",
                fields=("version", "unit", "currency"),
            ),
        )
        triggers = (
            pgtrigger.Trigger(
                name="published_prices_never_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func=_OF_PUBLISHED_NEVER_CHANGE,
            ),
        )

    def __str__(self) -> str:
        return f"{self.unit} in {self.version}"
