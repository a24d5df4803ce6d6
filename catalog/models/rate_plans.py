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
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    base_fee = models.DecimalField(max_digits=38, decimal_places=12, default=0)
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
                name="fees_and_discounts_are_not_negative",
                condition=Q(
                    base_fee__gte=0,
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


class UnitPrice(TenantOwned):
    """What one billable unit costs in one version: a pricing model and its terms."""

    class Timing(models.TextChoices):
        ARREARS = "ARREARS", "in arrears"

    version = models.ForeignKey(RatePlanVersion, on_delete=models.CASCADE, related_name="prices")
    unit = models.ForeignKey(BillableUnit, on_delete=models.PROTECT, related_name="prices")
    terms = models.JSONField(help_text='{"model": ..., and its terms}: see docs/pricing.md')
    timing = models.CharField(max_length=8, choices=Timing, default=Timing.ARREARS)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "unit_prices"
        ordering = ("version", "position", "unit__name")
        constraints = (
            models.UniqueConstraint(
                name="unit_has_one_price_per_version", fields=("version", "unit")
            ),
        )
        triggers = (
            pgtrigger.Trigger(
                name="published_prices_never_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func="""
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
                """,
            ),
        )

    def __str__(self) -> str:
        return f"{self.unit} in {self.version}"
