"""Alerts that people define: when which fact says what, and who is told how often."""

from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import TenantOwned
from catalog.models import Customer

LONGEST_COOLDOWN = timedelta(days=366)
_TOO_LONG = "a cooldown is at most 366 days"


class Channel(models.TextChoices):
    WEBHOOK = "WEBHOOK", "Signed webhooks"
    SLACK = "SLACK", "Slack-compatible"
    EMAIL = "EMAIL", "E-mail"


def every_channel() -> list[str]:
    return [str(channel) for channel in Channel]


class AlertRule(TenantOwned):
    """Somebody wants to know when a fact of one kind meets conditions of their own."""

    class Severity(models.TextChoices):
        INFO = "INFO", "Info"
        WARNING = "WARNING", "Warning"
        ERROR = "ERROR", "Error"
        CRITICAL = "CRITICAL", "Critical"

    name = models.CharField(max_length=200)
    severity = models.CharField(max_length=16, choices=Severity, default=Severity.WARNING)
    fact = models.CharField(max_length=64)
    conditions = models.JSONField(
        default=list, blank=True, help_text="all must hold; none: every fact of the kind"
    )
    channels = ArrayField(models.CharField(max_length=16, choices=Channel), default=every_channel)
    cooldown = models.DurationField(
        default=timedelta(hours=1), help_text="for so long a customer is not alerted of it again"
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "alert_rules"
        ordering = ("name", "id")
        constraints = (
            models.CheckConstraint(
                name="a_cooldown_is_not_negative", condition=Q(cooldown__gte=timedelta())
            ),
            models.CheckConstraint(
                name="a_cooldown_is_a_year_at_most",
                condition=Q(cooldown__lte=LONGEST_COOLDOWN),
                violation_error_message=_TOO_LONG,
            ),
        )
        indexes = (models.Index(name="alert_rules_of_tenant", fields=("tenant", "fact")),)

    def __str__(self) -> str:
        return self.name


class CustomerPreference(TenantOwned):
    """How alerts about a customer are told, of one kind of fact or of all: instead of a rule's."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    fact = models.CharField(max_length=64, blank=True, help_text="empty: all kinds")
    channels = ArrayField(
        models.CharField(max_length=16, choices=Channel), default=every_channel, blank=True
    )
    cooldown = models.DurationField(null=True, blank=True, help_text="empty: as the rule says")

    class Meta:
        db_table = "customer_preferences"
        ordering = ("customer", "fact")
        constraints = (
            models.UniqueConstraint(
                name="a_customer_prefers_once_per_kind", fields=("tenant", "customer", "fact")
            ),
            models.CheckConstraint(
                name="a_preferred_cooldown_is_a_year_at_most",
                condition=Q(cooldown__lte=LONGEST_COOLDOWN),
                violation_error_message=_TOO_LONG,
            ),
        )

    def __str__(self) -> str:
        return f"{self.customer}: {self.fact or 'all'}"


class AlertFiring(TenantOwned):
    """A rule and a customer: when they were alerted last, and until when they are not again."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="firings")
    customer_key = models.CharField(max_length=255, blank=True, help_text="empty: of no customer")
    message = models.ForeignKey(
        OutboxMessage, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    fired_at = models.DateTimeField()
    quiet_until = models.DateTimeField()
    fired_count = models.PositiveIntegerField(default=1)
    quiet_count = models.PositiveIntegerField(
        default=0, help_text="that were not told, because it was quiet"
    )

    class Meta:
        db_table = "alert_firings"
        ordering = ("-fired_at",)
        constraints = (
            models.UniqueConstraint(
                name="a_rule_is_quiet_once_per_customer", fields=("rule", "customer_key")
            ),
        )

    def __str__(self) -> str:
        return f"{self.rule} {self.customer_key}"
