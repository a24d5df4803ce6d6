"""Billing entities: the seller as it stands on the invoice."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class BillingEntity(TenantOwned):
    """Who invoices: currency, place, time zone of periods, and a gapless run of numbers."""

    code = models.CharField(max_length=20)
    display_name = models.CharField(max_length=200)
    legal_name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3)
    time_zone = models.CharField(max_length=64, default="UTC")

    class TaxEngine(models.TextChoices):
        NONE = "NONE", "no tax"
        TABLE = "TABLE", "rate table"
        HTTP = "HTTP", "external engine over HTTP"

    country = models.CharField(max_length=2, blank=True)
    region = models.CharField(max_length=40, blank=True, default="", db_default="")
    tax_engine = models.CharField(
        max_length=8, choices=TaxEngine, default=TaxEngine.NONE, db_default="NONE"
    )
    tax_url = models.URLField(blank=True, default="", db_default="")
    tax_secret = models.BinaryField(null=True, blank=True, editable=False, help_text="sealed")
    tax_inclusive = models.BooleanField(
        default=False, db_default=False, help_text="whether prices include the tax"
    )
    grace_days = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="how long invoices stay drafts"
    )
    accent_color = models.CharField(max_length=7, blank=True, default="", db_default="")
    footer = models.TextField(blank=True, default="", db_default="")
    logo = models.BinaryField(null=True, blank=True, editable=True, help_text="PNG or SVG")
    address = models.TextField(blank=True)
    tax_number = models.CharField(max_length=40, blank=True)
    invoice_prefix = models.CharField(max_length=20, default="INV")
    next_invoice_number = models.BigIntegerField(default=1, editable=False)
    payment_terms_days = models.PositiveSmallIntegerField(default=14)
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "billing_entities"
        verbose_name_plural = "billing entities"
        ordering = ("code",)
        constraints = (
            models.UniqueConstraint(
                name="billing_entity_code_is_taken_once", fields=("tenant", "code")
            ),
            models.UniqueConstraint(
                name="one_billing_entity_is_the_default",
                fields=("tenant",),
                condition=models.Q(is_default=True),
            ),
        )

    def __str__(self) -> str:
        return self.display_name
