"""Tax: the rates of the built-in table."""

from django.db import models
from django.db.models import F, Q

from aforo.tenancy.models import TenantOwned


class TaxRate(TenantOwned):
    """A percentage due in a country, a region of it, or on a kind of product there.

    The most specific row that is valid on the invoice's date wins; empty matches any.
    """

    name = models.CharField(max_length=80, help_text="VAT, GST, sales tax: as the line is called")
    country = models.CharField(max_length=2)
    region = models.CharField(max_length=40, blank=True)
    tax_code = models.CharField(max_length=40, blank=True, help_text="of units and rate plans")
    percent = models.DecimalField(max_digits=15, decimal_places=12)
    valid_from = models.DateField(null=True, blank=True)
    valid_until = models.DateField(null=True, blank=True, help_text="exclusive")
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "tax_rates"
        ordering = ("country", "region", "tax_code", "valid_from")
        constraints = (
            models.UniqueConstraint(
                name="tax_rate_begins_once",
                fields=("tenant", "country", "region", "tax_code", "name", "valid_from"),
                nulls_distinct=False,
            ),
            models.CheckConstraint(name="tax_percent_is_not_negative", condition=Q(percent__gte=0)),
            models.CheckConstraint(
                name="tax_rate_ends_after_it_began",
                condition=Q(valid_until__isnull=True)
                | Q(valid_from__isnull=True)
                | Q(valid_until__gt=F("valid_from")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.country} {self.percent.normalize():f} %"
