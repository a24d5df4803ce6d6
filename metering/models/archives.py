"""What has left the tables: months exported and detached, receipts summed per day."""

from django.db import models


class ArchivedMonth(models.Model):
    """One month of usage events that was written to a Parquet file and detached."""

    month = models.DateField(primary_key=True)
    file = models.TextField(help_text="where the Parquet file was written")
    sha256 = models.CharField(max_length=64)
    row_count = models.BigIntegerField()
    archived_at = models.DateTimeField()

    class Meta:
        db_table = "archived_months"
        ordering = ("month",)

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class ArchivedCount(models.Model):
    """How many of a tenant's events an archived month holds: they stay accounted for."""

    id = models.BigAutoField(primary_key=True)
    month = models.ForeignKey(ArchivedMonth, on_delete=models.PROTECT, related_name="counts")
    tenant_id = models.UUIDField()
    counted = models.BigIntegerField()
    unbilled = models.BigIntegerField()

    class Meta:
        db_table = "archived_counts"
        constraints = (
            models.UniqueConstraint(name="archived_once", fields=("month", "tenant_id")),
        )

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.month_id}"


class ReceiptDay(models.Model):
    """The sums of one tenant's receipts of one day, kept when the receipts themselves go."""

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField()
    day = models.DateField()
    source = models.CharField(max_length=16)
    event_count = models.BigIntegerField()
    counted = models.BigIntegerField()
    unbilled = models.BigIntegerField()
    duplicates = models.BigIntegerField()
    dead = models.BigIntegerField()
    held = models.BigIntegerField()

    class Meta:
        db_table = "receipt_days"
        ordering = ("day",)
        constraints = (
            models.UniqueConstraint(
                name="receipts_are_summed_once", fields=("tenant_id", "day", "source")
            ),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.source}"
