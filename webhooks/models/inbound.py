"""Sources of pushed usage, and every push that came from one."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class WebhookSource(TenantOwned):
    """Somebody who pushes usage. The row decides the tenant; its id is in the address."""

    class Provider(models.TextChoices):
        CUSTOM = "CUSTOM", "Custom"

    class Algorithm(models.TextChoices):
        HMAC_SHA256 = "hmac-sha256", "HMAC-SHA256"

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    provider = models.CharField(max_length=16, choices=Provider, default=Provider.CUSTOM)
    sealed_secret = models.BinaryField(editable=False)
    signature_header = models.CharField(max_length=100, default="X-Hub-Signature-256")
    signature_algorithm = models.CharField(
        max_length=16, choices=Algorithm, default=Algorithm.HMAC_SHA256
    )
    metric = models.CharField(
        max_length=200, blank=True, help_text="what is counted when the payload does not say it"
    )
    customer_id_path = models.CharField(max_length=400, blank=True, help_text="JSONPath")
    metric_key_path = models.CharField(max_length=400, blank=True, help_text="JSONPath")
    quantity_path = models.CharField(max_length=400, blank=True, help_text="JSONPath")
    timestamp_path = models.CharField(max_length=400, blank=True, help_text="JSONPath")
    event_id_path = models.CharField(
        max_length=400, blank=True, help_text="JSONPath to what makes a delivery the same"
    )
    event_id_header = models.CharField(
        max_length=100, blank=True, help_text="likewise, but no signature covers a header"
    )
    event_type_path = models.CharField(
        max_length=400, blank=True, help_text="JSONPath to what the filter looks at"
    )
    event_filter = models.JSONField(
        default=list, blank=True, help_text="event types that count; empty: all"
    )
    rate_limit = models.PositiveIntegerField(default=600, help_text="deliveries a minute")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "webhook_sources"
        ordering = ("name", "id")
        indexes = (models.Index(name="webhook_sources_of_tenant", fields=("tenant", "name")),)

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(TenantOwned):
    """One push as it came, and what was made of it. Never changed."""

    class Verdict(models.TextChoices):
        ACCEPTED = "ACCEPTED", "accepted"
        DUPLICATE = "DUPLICATE", "came before"
        FILTERED = "FILTERED", "not of a type that counts"
        UNMAPPED = "UNMAPPED", "kept as dead letter"
        UNREADABLE = "UNREADABLE", "no JSON"
        BAD_SIGNATURE = "BAD_SIGNATURE", "wrong signature"
        STALE = "STALE", "too old or from the future"

    source = models.ForeignKey(WebhookSource, on_delete=models.PROTECT, related_name="deliveries")
    verdict = models.CharField(max_length=16, choices=Verdict)
    detail = models.TextField(blank=True)
    arrived_at = models.DateTimeField(help_text="on everybody's clock")
    address = models.GenericIPAddressField(null=True)
    event_key = models.TextField(blank=True, help_text="the idempotency key of its first event")
    event_count = models.IntegerField(default=0)
    batch_id = models.UUIDField(null=True, help_text="its batch in the inbox, if it has one")
    size = models.IntegerField(help_text="bytes of the payload")
    payload = models.BinaryField(help_text="as it came but for credentials, lz4 frame")

    class Meta:
        db_table = "webhook_deliveries"
        verbose_name_plural = "webhook deliveries"
        ordering = ("-id",)
        indexes = (
            models.Index(name="deliveries_of_source", fields=("source", "id")),
            models.Index(name="deliveries_of_tenant", fields=("tenant", "id")),
            models.Index(name="deliveries_of_batch", fields=("batch_id",)),
        )

    def __str__(self) -> str:
        return f"{self.verdict} {self.event_key or self.pk}"
