"""Offerings: rate plans packaged for sale."""

from django.db import models

from aforo.tenancy.models import TenantOwned
from catalog.models.rate_plans import RatePlan


class Offering(TenantOwned):
    """What a customer subscribes to: one or more rate plans and how they are paid."""

    class Type(models.TextChoices):
        STANDALONE = "STANDALONE", "Standalone"
        BUNDLE = "BUNDLE", "Bundle"
        ADDON = "ADDON", "Add-on"

    class Status(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        ACTIVE = "ACTIVE", "Active"
        ARCHIVED = "ARCHIVED", "Archived"

    class BillingMode(models.TextChoices):
        POSTPAID = "POSTPAID", "Postpaid"

    code = models.CharField(max_length=80)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    type = models.CharField(max_length=12, choices=Type, default=Type.STANDALONE)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    billing_mode = models.CharField(
        max_length=10, choices=BillingMode, default=BillingMode.POSTPAID
    )
    currency = models.CharField(max_length=3)
    trial_days = models.PositiveSmallIntegerField(default=0, db_default=0)
    plans = models.ManyToManyField(RatePlan, through="OfferingPlan", related_name="offerings")
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "offerings"
        ordering = ("code",)
        constraints = (
            models.UniqueConstraint(name="offering_code_is_taken_once", fields=("tenant", "code")),
        )

    def __str__(self) -> str:
        return self.name


class OfferingPlan(TenantOwned):
    """One rate plan in an offering; `position` 0 is the primary one."""

    offering = models.ForeignKey(Offering, on_delete=models.CASCADE, related_name="items")
    rate_plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="items")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "offering_plans"
        ordering = ("offering", "position")
        constraints = (
            models.UniqueConstraint(
                name="offering_holds_a_plan_once", fields=("offering", "rate_plan")
            ),
        )

    def __str__(self) -> str:
        return f"{self.rate_plan} in {self.offering}"
