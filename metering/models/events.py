"""Usage events and the ledger of their keys: append-only, the ground of every invoice.

Both tables are partitioned; migration 0002 makes them in SQL. They hold no foreign keys: the drain
writes only ids that it has just read.
"""

from django.db import models

from aforo.fields import ExactDecimalField


class EventKey(models.Model):
    """The only judge of duplicates, kept for good: hash of (tenant, key) and hash of the body."""

    k = models.UUIDField(primary_key=True)
    body = models.UUIDField()

    class Meta:
        db_table = "event_keys"

    def __str__(self) -> str:
        return self.k.hex


class UsageEvent(models.Model):
    """One event as counted by one billable unit, with its billing context, price and proof.

    `position` and `digest` place it in the chain of its running total; an unbilled event (no
    price for its unit) has neither total nor revenue.
    """

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField()
    customer_id = models.UUIDField(null=True)
    subscription_id = models.UUIDField(null=True)
    plan_version_id = models.UUIDField(null=True)
    unit_id = models.UUIDField(null=True)
    running_total_id = models.BigIntegerField(null=True)
    position = models.BigIntegerField(null=True)
    idempotency_key = models.TextField()
    metric = models.TextField()
    quantity = models.DecimalField(max_digits=36, decimal_places=12)
    revenue = ExactDecimalField(help_text="marginal, exact")
    cost = ExactDecimalField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    late = models.BooleanField(help_text="more than 24 hours old when it was received")
    # Absent is not empty: the hash tells them apart, so the columns do.
    product_type = models.TextField(null=True)  # noqa: DJ001
    session_id = models.TextField(null=True)  # noqa: DJ001
    agent_id = models.TextField(null=True)  # noqa: DJ001
    tool_name = models.TextField(null=True)  # noqa: DJ001
    trace_id = models.TextField(null=True)  # noqa: DJ001
    metadata = models.TextField(  # noqa: DJ001
        null=True, help_text="the exact bytes that were hashed, as text"
    )
    source = models.TextField()
    batch_id = models.UUIDField()
    batch_index = models.IntegerField()
    digest = models.BinaryField(null=True)

    class Meta:
        db_table = "usage_events"
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.idempotency_key
