"""Endpoints of other people, what is to be delivered to them, and every attempt to."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import TenantOwned


class WebhookEndpoint(TenantOwned):
    """Where facts go: an address that takes webhooks, a Slack-compatible one, or a mailbox."""

    class Format(models.TextChoices):
        STANDARD = "STANDARD", "Signed webhook"
        SLACK = "SLACK", "Slack-compatible"
        EMAIL = "EMAIL", "E-mail"

    description = models.CharField(max_length=200, blank=True)
    format = models.CharField(max_length=16, choices=Format, default=Format.STANDARD)
    url = models.CharField(max_length=2000, help_text="https://..., or an e-mail address")
    facts = ArrayField(
        models.CharField(max_length=64), default=list, blank=True, help_text="empty: all"
    )
    sealed_secret = models.BinaryField(editable=False)
    sealed_former_secret = models.BinaryField(null=True, editable=False)
    former_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    is_active = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=400, blank=True, editable=False)
    failing_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="the first failure after the last success"
    )
    failures = models.PositiveIntegerField(
        default=0, editable=False, help_text="in a row, until now"
    )
    resting_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="nothing is sent before"
    )
    claim_id = models.UUIDField(null=True, editable=False, help_text="of the attempt under way")
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "webhook_endpoints"
        ordering = ("created_at", "id")
        constraints = (
            models.CheckConstraint(
                name="a_disabled_endpoint_is_not_active",
                condition=Q(is_active=False) | Q(disabled_at=None, archived_at=None),
            ),
        )
        indexes = (models.Index(name="webhook_endpoints_of_tenant", fields=("tenant", "id")),)

    def __str__(self) -> str:
        return self.description or self.url


class OutboundDelivery(TenantOwned):
    """One message for one endpoint: made once, tried until it is taken or too old."""

    class State(models.TextChoices):
        PENDING = "PENDING", "to be sent"
        DELIVERED = "DELIVERED", "taken"
        FAILED = "FAILED", "given up"

    message = models.ForeignKey(OutboxMessage, on_delete=models.CASCADE, related_name="+")
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries"
    )
    fact = models.CharField(max_length=64)
    subject = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    attempt_count = models.PositiveIntegerField(default=0)
    retry_step = models.PositiveSmallIntegerField(
        default=0, help_text="how far down the schedule of retries it is"
    )
    next_attempt_at = models.DateTimeField()
    last_status = models.PositiveSmallIntegerField(null=True)
    last_error = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField(help_text="on everybody's clock")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "outbound_deliveries"
        verbose_name_plural = "outbound deliveries"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                name="message_is_delivered_to_an_endpoint_once", fields=("message", "endpoint")
            ),
            models.CheckConstraint(
                name="a_delivery_that_waits_has_not_finished",
                condition=Q(state="PENDING", finished_at=None)
                | (~Q(state="PENDING") & Q(finished_at__isnull=False)),
            ),
        )
        indexes = (
            models.Index(
                name="outbound_due",
                fields=("endpoint", "next_attempt_at", "message"),
                condition=Q(state="PENDING"),
            ),
            models.Index(
                name="outbound_in_order",
                fields=("endpoint", "subject", "message"),
                condition=Q(state="PENDING"),
            ),
            models.Index(name="outbound_of_endpoint", fields=("endpoint", "-id")),
            models.Index(name="outbound_of_tenant", fields=("tenant", "-id")),
            models.Index(name="outbound_finished", fields=("finished_at",)),
        )

    def __str__(self) -> str:
        return f"{self.fact} {self.state}"


class DeliveryAttempt(TenantOwned):
    """One request of ours and what was answered. Never changed; kept for a while."""

    delivery = models.ForeignKey(
        OutboundDelivery, on_delete=models.CASCADE, related_name="attempts"
    )
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    url = models.CharField(max_length=2000)
    request_headers = models.JSONField(default=dict)
    request_body = models.TextField(blank=True)
    status = models.PositiveSmallIntegerField(null=True, help_text="empty: there was no answer")
    answer = models.TextField(blank=True, help_text="its first 4 KB")
    error = models.CharField(max_length=400, blank=True)

    class Meta:
        db_table = "delivery_attempts"
        ordering = ("id",)
        indexes = (models.Index(name="attempts_of_delivery", fields=("delivery", "id")),)

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.status or self.error}"
