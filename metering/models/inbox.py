"""The inbox: accepted HTTP bodies, durable before the 202, gone once they are counted."""

from django.db import models
from django.db.models import F, Q


class InboxBatch(models.Model):
    """One accepted body. No foreign keys and no second index: it is written before each answer."""

    id = models.BigAutoField(primary_key=True)  # rises with time: bill runs wait on it
    batch_id = models.UUIDField()
    tenant_id = models.UUIDField()
    bucket = models.SmallIntegerField(help_text="hash of the tenant, 0 to 255; drains share them")
    api_key_id = models.UUIDField(null=True)
    customer_id = models.UUIDField(
        null=True, help_text="whose usage alone it may bring: that of the key's subscription"
    )
    source = models.CharField(max_length=16)
    door = models.CharField(max_length=64, db_default="", help_text="the route it came in by")
    received_at = models.DateTimeField(help_text="on the tenant's clock; decides lateness")
    arrived_at = models.DateTimeField(help_text="on everybody's clock; measures the backlog")
    event_count = models.IntegerField()
    refused = models.BinaryField(
        null=True, help_text="JSON [[index, code, detail], ...]: what the door refused"
    )
    body = models.BinaryField(help_text="the events as a JSON array, lz4 frame")

    class Meta:
        db_table = "inbox_batches"
        verbose_name_plural = "inbox batches"
        ordering = ("id",)

    def __str__(self) -> str:
        return str(self.batch_id)


class Receipt(models.Model):
    """What became of one batch, in events as they came."""

    batch_id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    api_key_id = models.UUIDField(null=True)
    source = models.CharField(max_length=16)
    door = models.CharField(max_length=64, db_default="")
    received_at = models.DateTimeField()
    arrived_at = models.DateTimeField()
    drained_at = models.DateTimeField()
    event_count = models.IntegerField()
    counted = models.IntegerField()
    unbilled = models.IntegerField()
    duplicates = models.IntegerField()
    dead = models.IntegerField()
    held = models.IntegerField()
    refusals = models.JSONField(null=True, help_text="[[index, code], ...] of the dead ones")
    steps = models.JSONField(null=True, help_text="what each step of its drain took, in ms")

    class Meta:
        db_table = "receipts"
        ordering = ("-drained_at",)
        indexes = (
            models.Index(name="receipts_of_tenant", fields=("tenant_id", "drained_at")),
            models.Index(
                name="receipts_of_replays",
                fields=("tenant_id", "drained_at"),
                condition=Q(source="REPLAY"),
            ),
        )
        constraints = (
            models.CheckConstraint(
                name="receipt_accounts_for_every_event",
                condition=Q(
                    event_count=F("counted")
                    + F("unbilled")
                    + F("duplicates")
                    + F("dead")
                    + F("held")
                ),
            ),
        )

    def __str__(self) -> str:
        return str(self.batch_id)


class RawPayload(models.Model):
    """A body as it was accepted, credentials removed: what an event can be traced back to.

    Partitioned by month of arrival, so that old ones leave as a whole.
    """

    batch_id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    arrived_at = models.DateTimeField()
    body = models.BinaryField(help_text="the events as a JSON array, lz4 frame")

    class Meta:
        db_table = "raw_payloads"

    def __str__(self) -> str:
        return str(self.batch_id)
