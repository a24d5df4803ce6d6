"""Tenants: one seller on this installation, live or the sandbox twin of a live one."""

from datetime import timedelta

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id


class Tenant(models.Model):
    """One seller. A sandbox is a tenant of its own: own rows, own clock, the same code."""

    class UnknownMetric(models.TextChoices):
        REJECT = "REJECT", "reject and keep as dead letter"
        ACCEPT_UNBILLED = "ACCEPT_UNBILLED", "count without a price"
        CREATE = "CREATE", "count without a price, and draft a billable unit"

    class LatePolicy(models.TextChoices):
        HOLD = "HOLD", "hold until an operator decides"
        AUTO = "AUTO", "bill with the next invoice"

    class AccessFallback(models.TextChoices):
        OPEN = "OPEN", "let calls pass"
        CLOSED = "CLOSED", "deny calls"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=80, unique=True)
    live_twin = models.OneToOneField(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="sandbox",
        help_text="set on a sandbox: the tenant whose twin it is",
    )
    currency = models.CharField(max_length=3, default="USD")
    time_zone = models.CharField(max_length=64, default="UTC")
    country = models.CharField(max_length=2, blank=True)
    settlement_delay = models.DurationField(
        default=timedelta(hours=1), help_text="how long after a period's end Beat bills it"
    )
    unknown_metric = models.CharField(
        max_length=16, choices=UnknownMetric, default=UnknownMetric.REJECT
    )
    late_policy = models.CharField(max_length=8, choices=LatePolicy, default=LatePolicy.HOLD)
    dead_letter_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="open dead letters expire after so many days; empty: never"
    )
    dead_letter_threshold = models.PositiveIntegerField(
        null=True, blank=True, help_text="so many open dead letters are told; empty: never"
    )
    access_fallback = models.CharField(
        max_length=8,
        choices=AccessFallback,
        default=AccessFallback.OPEN,
        db_default="OPEN",
        help_text="what access checks answer while nothing can be known of a customer",
    )
    session_summaries = models.BooleanField(
        default=False,
        db_default=False,
        help_text="send one event with the sums of each session when it has closed",
    )
    catalog_version = models.BigIntegerField(
        default=1, editable=False, help_text="raised by every change that can change a price"
    )
    clock_frozen_at = models.DateTimeField(null=True, blank=True, editable=False)
    clock_offset = models.DurationField(default=timedelta(0), editable=False)
    hash_secret = models.BinaryField(
        max_length=32, editable=False, help_text="keys the hashes of events; never shown"
    )
    created_at = models.DateTimeField()

    class Meta:
        db_table = "tenants"
        ordering = ("slug",)
        constraints = (
            models.CheckConstraint(
                name="only_a_sandbox_has_a_clock_of_its_own",
                condition=Q(live_twin__isnull=False)
                | Q(clock_frozen_at__isnull=True, clock_offset=timedelta(0)),
            ),
            models.CheckConstraint(
                name="a_tenant_is_not_its_own_twin", condition=~Q(live_twin=F("id"))
            ),
        )

    def __str__(self) -> str:
        return self.slug

    @property
    def is_sandbox(self) -> bool:
        return self.live_twin_id is not None
