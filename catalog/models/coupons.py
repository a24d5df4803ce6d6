"""Coupons: discounts by code, and who has redeemed them."""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from aforo.tenancy.models import TenantOwned
from catalog.models.customers import Customer
from catalog.models.offerings import Offering
from catalog.models.subscriptions import Subscription


class Coupon(TenantOwned):
    """A code that takes a percentage, or an amount of one currency, off invoices."""

    class DiscountType(models.TextChoices):
        PERCENTAGE = "PERCENTAGE", "percentage"
        FIXED_AMOUNT = "FIXED_AMOUNT", "fixed amount"
        TRIAL_DAYS = "TRIAL_DAYS", "free days of trial"

    class Duration(models.TextChoices):
        ONCE = "ONCE", "one invoice"
        REPEATING = "REPEATING", "so many months"
        FOREVER = "FOREVER", "for good"

    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200, blank=True)
    discount_type = models.CharField(max_length=12, choices=DiscountType)
    discount_value = models.DecimalField(max_digits=38, decimal_places=12)
    currency = models.CharField(max_length=3, blank=True)
    duration = models.CharField(max_length=10, choices=Duration, default=Duration.ONCE)
    duration_in_months = models.PositiveSmallIntegerField(null=True, blank=True)
    max_redemptions = models.PositiveIntegerField(null=True, blank=True)
    max_redemptions_per_customer = models.PositiveIntegerField(default=1)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    offerings = models.ManyToManyField(
        Offering, blank=True, related_name="coupons", help_text="empty: all"
    )
    customer = models.ForeignKey(
        Customer,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="coupons",
        help_text="empty: everybody",
    )
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "coupons"
        ordering = ("code",)
        constraints = (
            models.UniqueConstraint(name="coupon_code_is_taken_once", fields=("tenant", "code")),
            models.CheckConstraint(
                name="coupon_takes_something_off", condition=Q(discount_value__gt=0)
            ),
            models.CheckConstraint(
                name="coupon_of_an_amount_names_its_currency",
                condition=~Q(discount_type="FIXED_AMOUNT") | ~Q(currency=""),
            ),
            models.CheckConstraint(
                name="coupon_of_a_percentage_takes_all_at_most",
                condition=~Q(discount_type="PERCENTAGE") | Q(discount_value__lte=100),
            ),
            models.CheckConstraint(
                name="repeating_coupon_says_how_long",
                condition=~Q(duration="REPEATING") | Q(duration_in_months__range=(1, 60)),
            ),
        )

    def __str__(self) -> str:
        return self.code


class CouponRedemption(TenantOwned):
    """A coupon in the hands of one customer: for one subscription, or for all of them.

    Coupons are taken off in the order of redemption. One of ONCE is spent by its first invoice.
    """

    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="redemptions")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="redemptions")
    subscription = models.ForeignKey(
        Subscription,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="redemptions",
        help_text="empty: all of the customer's",
    )
    redeemed_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="of a repeating one")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "coupon_redemptions"
        ordering = ("redeemed_at", "id")
        constraints = (
            models.CheckConstraint(
                name="redemption_ends_after_it_began",
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("redeemed_at")),
            ),
        )
        indexes = (models.Index(name="redemptions_of_customer", fields=("tenant", "customer")),)
        triggers = (pgtrigger.Protect(name="redemptions_are_kept", operation=pgtrigger.Delete),)

    def __str__(self) -> str:
        return f"{self.coupon} for {self.customer}"
