"""How much came and when: what figures over days and months are read from."""

from datetime import UTC, datetime, timedelta

from django.db import models

SLICE = timedelta(minutes=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def slice_start(moment: datetime) -> datetime:
    """The beginning of the five minutes that `moment` lies in."""
    return moment - (moment - _EPOCH) % SLICE


class ReceiptSlice(models.Model):
    """The sums of a tenant's receipts over five minutes, so that nobody adds up a month of them.

    Times are on everybody's clock, as `drained_at` of receipts is.
    """

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField()
    start_at = models.DateTimeField()
    event_count = models.BigIntegerField()
    counted = models.BigIntegerField()
    unbilled = models.BigIntegerField()
    duplicates = models.BigIntegerField()
    dead = models.BigIntegerField()
    held = models.BigIntegerField()

    class Meta:
        db_table = "receipt_slices"
        ordering = ("-start_at",)
        constraints = (
            models.UniqueConstraint(
                name="receipts_are_sliced_once", fields=("tenant_id", "start_at")
            ),
        )

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.start_at:%Y-%m-%d %H:%M}"


class UnitActivity(models.Model):
    """When an event last came for a billable unit, to about a minute; on everybody's clock."""

    unit_id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    last_event_at = models.DateTimeField()

    class Meta:
        db_table = "unit_activity"
        indexes = (models.Index(name="unit_activity_of_tenant", fields=("tenant_id",)),)

    def __str__(self) -> str:
        return str(self.unit_id)
