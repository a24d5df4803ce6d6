"""Events that were not counted: refused ones, and late ones that wait for a decision."""

from django.db import models
from django.db.models import Q

from aforo.tenancy.models import TenantOwned


class DeadLetter(TenantOwned):
    """A rejected event, whole, with the reason; the same refusal again raises its count."""

    class Status(models.TextChoices):
        OPEN = "OPEN", "Open"
        REPLAYED = "REPLAYED", "Replayed"
        DISCARDED = "DISCARDED", "Discarded"
        EXPIRED = "EXPIRED", "Expired"

    code = models.CharField(max_length=40)
    detail = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    occurrences = models.IntegerField(default=1, help_text="how often it was refused like this")
    fingerprint = models.UUIDField(
        help_text="hash of code, event and customer_id: what makes it the same"
    )
    event = models.BinaryField(help_text="the event's own JSON, secrets removed")
    metric = models.CharField(max_length=400, blank=True)
    customer = models.CharField(
        max_length=400, blank=True, db_default="", help_text="as the event names it, if readable"
    )
    customer_id = models.UUIDField(
        null=True, help_text="whose usage alone it may be: that of its key's subscription"
    )
    source = models.CharField(max_length=16)
    batch_id = models.UUIDField()
    batch_index = models.IntegerField()
    received_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    edited = models.BinaryField(null=True, help_text="what is sent instead when it is replayed")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=200, blank=True, db_default="")
    reason = models.TextField(blank=True, db_default="")
    replay_batch_id = models.UUIDField(null=True, help_text="the first batch it was sent again in")

    class Meta:
        db_table = "dead_letters"
        ordering = ("-received_at",)
        constraints = (
            models.UniqueConstraint(
                name="open_dead_letter_is_kept_once",
                fields=("tenant", "fingerprint"),
                condition=Q(status="OPEN"),
            ),
        )
        indexes = (
            models.Index(name="dead_letters_by_code", fields=("tenant", "status", "code")),
            models.Index(name="dead_letters_of_batch", fields=("batch_id",)),
            models.Index(name="dead_letters_of_tenant", fields=("tenant", "id")),
            models.Index(name="dead_letters_of_customer", fields=("tenant", "customer", "id")),
            models.Index(
                name="dead_letters_open",
                fields=("tenant", "code", "metric", "id"),
                include=("occurrences",),
                condition=Q(status="OPEN"),
            ),
            models.Index(
                name="dead_letters_expiring",
                fields=("tenant", "last_seen_at"),
                condition=Q(status="OPEN"),
            ),
            models.Index(
                name="dead_letters_replayed_as",
                fields=("replay_batch_id",),
                condition=Q(replay_batch_id__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.code} {self.metric}"


class HeldEvent(TenantOwned):
    """A late event of a period that is already billed: accepted or waived by an operator."""

    class Status(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        ACCEPTED = "ACCEPTED", "Accepted"
        WAIVED = "WAIVED", "Waived"

    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    running_total_id = models.BigIntegerField()
    customer_id = models.UUIDField()
    unit_id = models.UUIDField()
    idempotency_key = models.TextField()
    metric = models.TextField()
    quantity = models.DecimalField(max_digits=36, decimal_places=12)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    event = models.BinaryField(help_text="the event's own JSON, secrets removed")
    source = models.CharField(max_length=16)
    batch_id = models.UUIDField()
    batch_index = models.IntegerField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        db_table = "held_events"
        ordering = ("-received_at",)
        indexes = (
            models.Index(name="held_events_waiting", fields=("tenant", "status", "received_at")),
            models.Index(name="held_events_of_event", fields=("batch_id", "batch_index")),
        )

    def __str__(self) -> str:
        return self.idempotency_key
