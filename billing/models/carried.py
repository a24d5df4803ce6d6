"""What one invoice leaves to later ones: unused included units, and coupons that are spent."""

import pgtrigger
from django.db import models
from django.db.models import Q

from aforo.fields import ExactDecimalField
from aforo.tenancy.models import TenantOwned
from billing.models.invoices import Invoice
from catalog.models import CouponRedemption, Subscription, SubscriptionPeriod


class RolloverGrant(TenantOwned):
    """Included units that a period did not use and later ones may, until `expires_at`."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+")
    unit_id = models.UUIDField()
    dimension = models.TextField(blank=True, default="")
    period = models.ForeignKey(
        SubscriptionPeriod,
        on_delete=models.PROTECT,
        related_name="grants",
        help_text="their source",
    )
    units = ExactDecimalField()
    expires_at = models.DateTimeField(help_text="end of the last period that may use them")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "rollover_grants"
        ordering = ("period__start_at", "id")
        constraints = (
            models.UniqueConstraint(
                name="units_roll_over_once", fields=("period", "unit_id", "dimension")
            ),
            models.CheckConstraint(name="rollover_grants_units", condition=Q(units__gt=0)),
        )
        indexes = (models.Index(name="grants_of_subscription", fields=("subscription", "unit_id")),)
        triggers = (pgtrigger.Protect(name="grants_never_change", operation=pgtrigger.Update),)

    def __str__(self) -> str:
        return f"{self.units} units until {self.expires_at:%Y-%m-%d}"


class RolloverUse(TenantOwned):
    """How much of a grant one invoice used up."""

    grant = models.ForeignKey(RolloverGrant, on_delete=models.CASCADE, related_name="uses")
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="rollover_uses")
    units = ExactDecimalField()

    class Meta:
        db_table = "rollover_uses"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(name="invoice_uses_a_grant_once", fields=("grant", "invoice")),
        )

    def __str__(self) -> str:
        return f"{self.units} of {self.grant}"


class CouponUse(TenantOwned):
    """What a redeemed coupon took off one invoice."""

    redemption = models.ForeignKey(CouponRedemption, on_delete=models.PROTECT, related_name="uses")
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="coupon_uses")
    amount = models.DecimalField(max_digits=38, decimal_places=4)

    class Meta:
        db_table = "coupon_uses"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                name="invoice_uses_a_coupon_once", fields=("redemption", "invoice")
            ),
        )

    def __str__(self) -> str:
        return f"{self.redemption} on {self.invoice}"
