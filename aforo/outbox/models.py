"""What the outside world must be told, written in the transaction that made it true."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class OutboxMessage(TenantOwned):
    """One fact (`invoice.finalized`, ...) with its payload, kept until it has been carried out."""

    fact = models.CharField(max_length=64)
    payload = models.JSONField()
    subject = models.CharField(
        max_length=64, blank=True, help_text="what the fact is about; order is kept per subject"
    )
    created_at = models.DateTimeField()
    carried_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "outbox_messages"
        ordering = ("created_at", "id")
        indexes = (
            models.Index(
                name="outbox_to_carry",
                fields=("id",),
                condition=models.Q(carried_at__isnull=True),
            ),
            models.Index(name="outbox_of_tenant", fields=("tenant", "-created_at")),
        )

    def __str__(self) -> str:
        return f"{self.fact} {self.subject}"
