"""Sources of pushed usage, how their payloads are read, and every push that came from one."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from aforo.tenancy.models import TenantOwned


class WebhookSource(TenantOwned):
    """Somebody who pushes usage. The row decides the tenant; its id is in the address."""

    class Provider(models.TextChoices):
        CUSTOM = "CUSTOM", "Custom"
        GITHUB = "GITHUB", "GitHub"
        SENDGRID = "SENDGRID", "SendGrid"
        SLACK = "SLACK", "Slack"
        STRIPE = "STRIPE", "Stripe"
        TWILIO = "TWILIO", "Twilio"

    class Encoding(models.TextChoices):
        HEX = "hex", "hexadecimal"
        BASE64 = "base64", "base64"

    class Algorithm(models.TextChoices):
        HMAC_SHA256 = "hmac-sha256", "HMAC-SHA256"

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    provider = models.CharField(max_length=16, choices=Provider, default=Provider.CUSTOM)
    sealed_secret = models.BinaryField(editable=False)  # empty: the provider's is not known yet
    sealed_old_secret = models.BinaryField(editable=False, null=True)
    old_secret_until = models.DateTimeField(
        editable=False, null=True, help_text="on everybody's clock: pushes signed with it pass"
    )
    signature_header = models.CharField(max_length=100, default="X-Hub-Signature-256")
    signature_algorithm = models.CharField(
        max_length=16, choices=Algorithm, default=Algorithm.HMAC_SHA256
    )
    signature_encoding = models.CharField(
        max_length=8, choices=Encoding, default=Encoding.HEX, db_default="hex"
    )
    signature_prefix = models.CharField(
        max_length=40,
        blank=True,
        default="sha256=",
        db_default="sha256=",
        help_text="stands before the signature, or does not",
    )
    requires_timestamp = models.BooleanField(
        default=False,
        db_default=False,
        help_text="refuse pushes without a signed time (X-Aforo-Timestamp)",
    )
    public_address = models.URLField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="as the provider calls us, where it signs the address; empty: as it is shown",
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
    failing_since = models.DateTimeField(
        null=True, editable=False, help_text="nothing that came since could be counted"
    )
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "webhook_sources"
        ordering = ("name", "id")
        indexes = (models.Index(name="webhook_sources_of_tenant", fields=("tenant", "name")),)

    def __str__(self) -> str:
        return self.name


class WebhookMapping(TenantOwned):
    """How a payload of some types becomes events; a source without any has its plain paths.

    Where a field takes a path or a text, what begins with `$` is a JSONPath into the payload, what
    begins with `@` one into the item, and anything else is that text.
    """

    source = models.ForeignKey(WebhookSource, on_delete=models.CASCADE, related_name="mappings")
    position = models.PositiveSmallIntegerField()
    event_types = models.JSONField(default=list, blank=True, help_text="empty: all that count")
    items = models.CharField(
        max_length=400, blank=True, help_text="JSONPath to a list: one event for each of its items"
    )
    customer = models.CharField(max_length=400, blank=True, help_text="path or text")
    customer_default = models.CharField(max_length=200, blank=True)
    metric = models.CharField(
        max_length=400, blank=True, help_text="path or text; empty: that of the source"
    )
    metric_default = models.CharField(max_length=200, blank=True)
    quantity = models.CharField(
        max_length=400, blank=True, help_text="path or number; empty: 1 for each"
    )
    quantity_default = models.DecimalField(
        max_digits=36, decimal_places=12, null=True, blank=True, help_text="where there is none"
    )
    quantity_scale = models.DecimalField(
        max_digits=36,
        decimal_places=12,
        default=Decimal(1),
        help_text="what it is multiplied by: 0.01 makes units of cents",
    )
    occurred_at = models.CharField(
        max_length=400, blank=True, help_text="JSONPath; empty: when it came"
    )
    event_key = models.CharField(
        max_length=400, blank=True, help_text="JSONPath to what makes an event the same"
    )
    metadata = models.JSONField(
        default=dict, blank=True, help_text="paths or texts, by name in the event's metadata"
    )

    class Meta:
        db_table = "webhook_mappings"
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(
                fields=("source", "position"), name="webhook_mapping_has_its_own_place"
            ),
        )

    def __str__(self) -> str:
        return f"mapping {self.position}"


class WebhookDelivery(TenantOwned):
    """One push as it came, and what was made of it. Only what became of it changes."""

    class Verdict(models.TextChoices):
        RECEIVED = "RECEIVED", "not yet mapped"
        ACCEPTED = "ACCEPTED", "accepted"
        DUPLICATE = "DUPLICATE", "came before"
        FILTERED = "FILTERED", "not of a type that counts"
        UNMAPPED = "UNMAPPED", "kept until its mapping is mended"
        UNREADABLE = "UNREADABLE", "no JSON"
        BAD_SIGNATURE = "BAD_SIGNATURE", "wrong signature"
        STALE = "STALE", "too old or from the future"

    source = models.ForeignKey(WebhookSource, on_delete=models.PROTECT, related_name="deliveries")
    verdict = models.CharField(max_length=16, choices=Verdict)
    detail = models.TextField(blank=True)
    arrived_at = models.DateTimeField(help_text="on everybody's clock")
    address = models.GenericIPAddressField(null=True)
    received_at = models.DateTimeField(null=True, help_text="on the tenant's clock")
    event_type = models.TextField(blank=True, default="", db_default="")
    provider_key = models.TextField(
        blank=True, default="", db_default="", help_text="what the provider knows it by"
    )
    event_key = models.TextField(blank=True, help_text="the idempotency key of its first event")
    event_count = models.IntegerField(default=0)
    refused_count = models.IntegerField(
        default=0,
        db_default=0,
        help_text="events of it that were refused before any contract was looked at",
    )
    parked = models.JSONField(
        default=list, db_default=[], help_text="places of payloads that could not be mapped"
    )
    mapped_at = models.DateTimeField(null=True, help_text="on everybody's clock, the last time")
    replays = models.IntegerField(default=0, db_default=0)
    tries = models.IntegerField(
        default=0, db_default=0, help_text="mappings of it that broke down since it came"
    )
    due_at = models.DateTimeField(
        null=True, editable=False, help_text="while it waits: asked for again from then on"
    )
    batch_id = models.UUIDField(null=True, help_text="its first batch in the inbox, if it has one")
    later_batches = ArrayField(
        models.UUIDField(),
        blank=True,
        default=list,
        db_default=[],
        help_text="its batches since it was replayed",
    )
    size = models.IntegerField(help_text="bytes of the payload")
    payload = models.BinaryField(
        help_text="as it came but for credentials, lz4 frame; empty once it is forgotten"
    )
    forgotten_at = models.DateTimeField(null=True, help_text="its payload, on everybody's clock")

    class Meta:
        db_table = "webhook_deliveries"
        verbose_name_plural = "webhook deliveries"
        ordering = ("-id",)
        indexes = (
            models.Index(name="deliveries_of_source", fields=("source", "id")),
            models.Index(name="deliveries_of_tenant", fields=("tenant", "id")),
            models.Index(name="deliveries_of_batch", fields=("batch_id",)),
            GinIndex(
                name="deliveries_of_later_batches",
                fields=("later_batches",),
                condition=Q(replays__gt=0),
            ),
            models.Index(
                name="deliveries_still_to_map", fields=("id",), condition=Q(verdict="RECEIVED")
            ),
            models.Index(
                name="deliveries_nobody_signed",
                fields=("arrived_at",),
                condition=Q(verdict__in=("BAD_SIGNATURE", "STALE")),
            ),
            models.Index(
                name="deliveries_with_payload",
                fields=("arrived_at",),
                condition=Q(forgotten_at=None),
            ),
        )

    def __str__(self) -> str:
        return f"{self.verdict} {self.event_key or self.pk}"
