"""What serving a customer costs: reported by providers, beside the unit costs of the catalog."""

from django.db import models

from aforo.fields import ExactDecimalField
from aforo.tenancy.models import TenantOwned


class CostEvent(TenantOwned):
    """One cost, tied to a customer and perhaps to the usage that caused it. Never changed."""

    class Kind(models.TextChoices):
        AI_INFERENCE = "AI_INFERENCE", "AI inference"
        PAYMENT_FEE = "PAYMENT_FEE", "Payment fee"
        INFRASTRUCTURE = "INFRASTRUCTURE", "Infrastructure"
        OTHER = "OTHER", "Other"

    kind = models.CharField(max_length=16, choices=Kind)
    customer_id = models.UUIDField()
    amount = ExactDecimalField()
    currency = models.CharField(max_length=3)
    idempotency_key = models.TextField()
    body = models.UUIDField(help_text="hash of what was reported: another one is a conflict")
    usage_key = models.TextField(
        blank=True, help_text="the idempotency key of the usage event that it belongs to"
    )
    metric = models.TextField(blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    api_key_id = models.UUIDField(null=True)
    metadata = models.TextField(blank=True)

    class Meta:
        db_table = "cost_events"
        ordering = ("-received_at",)
        constraints = (
            models.UniqueConstraint(name="cost_is_kept_once", fields=("tenant", "idempotency_key")),
        )
        indexes = (
            models.Index(name="costs_of_customer", fields=("tenant", "customer_id", "occurred_at")),
            models.Index(name="costs_by_age", fields=("tenant", "id")),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.currency}"
