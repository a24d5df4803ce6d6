"""Customers: who pays, under all the names that events know them by."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class Customer(TenantOwned):
    """Who pays. `external_id` is the seller's own id for them, `customerId` on the wire."""

    external_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    email = models.EmailField(blank=True)
    account_manager_email = models.EmailField(
        blank=True,
        default="",
        db_default="",
        help_text="the seller's own colleague, who is written to when a margin guard warns",
    )
    currency = models.CharField(max_length=3, blank=True)
    country = models.CharField(max_length=2, blank=True)
    address = models.TextField(blank=True)
    region = models.CharField(max_length=40, blank=True, default="", db_default="")
    tax_number = models.CharField(max_length=40, blank=True)
    tax_exempt = models.BooleanField(default=False, db_default=False)
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="children",
        help_text="who is invoiced for this customer as well",
    )
    language = models.CharField(max_length=10, default="en")
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "customers"
        ordering = ("external_id",)
        constraints = (
            models.UniqueConstraint(
                name="customer_is_known_by_one_external_id", fields=("tenant", "external_id")
            ),
        )

    def __str__(self) -> str:
        return self.name or self.external_id


class CustomerAlias(TenantOwned):
    """Another name of a customer: gateways send app names, consumer ids, even keys.

    Only a keyed hash is stored, because some of those names are secrets.
    """

    class Kind(models.TextChoices):
        SUBJECT = "SUBJECT", "external subject"
        API_KEY = "API_KEY", "API key"
        SUBSCRIPTION_KEY = "SUBSCRIPTION_KEY", "gateway subscription key"
        AGENT = "AGENT", "agent id"

    CREDENTIALS = frozenset({Kind.API_KEY, Kind.SUBSCRIPTION_KEY})  # secrets, which prove who calls

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="aliases")
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.SUBJECT)
    label = models.CharField(max_length=200, blank=True, help_text="the name itself unless secret")
    digest = models.BinaryField(max_length=32, editable=False)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "customer_aliases"
        verbose_name_plural = "customer aliases"
        ordering = ("customer", "kind", "label")
        constraints = (
            models.UniqueConstraint(name="alias_names_one_customer", fields=("tenant", "digest")),
        )

    def __str__(self) -> str:
        return self.label or f"alias:{bytes(self.digest).hex()[:8]}"
