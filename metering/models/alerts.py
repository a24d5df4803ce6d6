"""Alerts: what a monitor or a guard has found, with its evidence."""

from django.db import models
from django.db.models import Q

from aforo.tenancy.models import TenantOwned
from catalog.models import BillableUnit, Customer


class AlertKind(models.TextChoices):
    USAGE_ANOMALY = "USAGE_ANOMALY", "Unusual usage"
    USAGE_DROP = "USAGE_DROP", "Usage dropped"
    QUOTA_PACING = "QUOTA_PACING", "Allowance will be reached"
    UNIT_NO_DATA = "UNIT_NO_DATA", "Unit without events"
    MARGIN_WARNING = "MARGIN_WARNING", "Margin is low"
    MARGIN_THROTTLED = "MARGIN_THROTTLED", "Throttled for its margin"
    MARGIN_BLOCKED = "MARGIN_BLOCKED", "Blocked for its margin"


class Severity(models.TextChoices):
    INFO = "INFO", "Info"
    WARNING = "WARNING", "Warning"
    CRITICAL = "CRITICAL", "Critical"


class Alert(TenantOwned):
    """One finding about one subject: open until what was found has passed.

    While it is open the same finding is not raised again; times are on the tenant's clock.
    """

    class State(models.TextChoices):
        OPEN = "OPEN", "Open"
        RECOVERED = "RECOVERED", "Recovered"

    kind = models.CharField(max_length=24, choices=AlertKind)
    subject = models.CharField(
        max_length=200, help_text="what it is about, as its monitor names it"
    )
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.WARNING)
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    title = models.CharField(max_length=300)
    customer = models.ForeignKey(
        Customer, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    unit = models.ForeignKey(
        BillableUnit, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    subscription_id = models.UUIDField(null=True, blank=True)
    evidence = models.JSONField(
        default=dict, help_text='{"numbers": {...}, "events": {...}, "chart": {...}}'
    )
    raised_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    occurrences = models.IntegerField(default=1, help_text="how often it was found while open")
    recovered_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=200, blank=True, db_default="")
    reason = models.TextField(blank=True, db_default="", help_text="why it was acknowledged")

    class Meta:
        db_table = "alerts"
        ordering = ("-raised_at",)
        constraints = (
            models.UniqueConstraint(
                name="alert_is_open_once",
                fields=("tenant", "kind", "subject"),
                condition=Q(state="OPEN"),
            ),
            models.CheckConstraint(
                name="recovered_alerts_say_when",
                condition=Q(state="OPEN", recovered_at__isnull=True)
                | Q(state="RECOVERED", recovered_at__isnull=False),
            ),
        )
        indexes = (
            models.Index(name="alerts_of_tenant", fields=("tenant", "id")),
            models.Index(name="alerts_of_customer", fields=("tenant", "customer", "id")),
        )

    def __str__(self) -> str:
        return self.title
