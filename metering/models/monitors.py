"""What monitors are told by a tenant, how far they came, and what the health of units is."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from aforo.tenancy.models import Tenant, TenantOwned
from catalog.models import BillableUnit, RatePlanVersion


def default_thresholds() -> list[int]:
    return [80, 100, 120]


class MonitorSettings(TenantOwned):
    """How watchful the monitors of one tenant are; a tenant without a row has the defaults."""

    sigma = models.DecimalField(
        max_digits=4,
        decimal_places=2,
        default=2,
        validators=[MinValueValidator(1), MaxValueValidator(10)],
        help_text="an hour is unusual when it is further from the mean than so many deviations",
    )
    baseline_days = models.PositiveSmallIntegerField(
        default=14,
        validators=[MinValueValidator(2), MaxValueValidator(60)],
        help_text="the hours that it is compared with",
    )
    minimum_samples = models.PositiveSmallIntegerField(
        default=24,
        validators=[MinValueValidator(24)],
        help_text="hours with usage that a comparison needs",
    )
    flat_percent = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="a deviation is never taken for less than so many percent of the mean",
    )
    drop_percent = models.PositiveSmallIntegerField(
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="a week is told that has so much less usage than the week before",
    )
    drop_minimum_events = models.PositiveIntegerField(
        default=10, help_text="events that the week before must have had"
    )
    pacing_thresholds = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1)]),
        size=10,
        default=default_thresholds,
        help_text="percent of the allowance that usage at the end of a period will come to",
    )
    pacing_from_percent = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(5), MaxValueValidator(100)],
        help_text="of the period that must have passed before its end is told",
    )
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "monitor_settings"
        verbose_name_plural = "monitor settings"
        constraints = (
            models.UniqueConstraint(name="tenant_sets_monitors_once", fields=("tenant",)),
            models.CheckConstraint(
                name="monitors_are_set_within_reason",
                condition=Q(
                    sigma__gte=1,
                    baseline_days__gte=2,
                    baseline_days__lte=60,
                    minimum_samples__gte=24,
                    flat_percent__gte=1,
                    drop_percent__gte=1,
                    drop_percent__lte=100,
                    pacing_from_percent__gte=5,
                ),
            ),
        )

    def __str__(self) -> str:
        return f"monitors of {self.tenant}"


class MonitorProgress(models.Model):
    """How far the monitors of a tenant have judged, on its clock; its row is their lock."""

    tenant = models.OneToOneField(
        Tenant, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    anomalies_until = models.DateTimeField(null=True, help_text="the end of the last judged hour")
    drops_until = models.DateTimeField(null=True, help_text="the end of the last judged week")
    paced_at = models.DateTimeField(null=True)
    health_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "monitor_progress"

    def __str__(self) -> str:
        return f"monitors of {self.tenant}"


class UnitHealth(TenantOwned):
    """How usage of one unit spreads over the tiers of one plan version in the open periods.

    A unit that no plan prices has one row without a version.
    """

    class Status(models.TextChoices):
        HEALTHY = "HEALTHY", "Healthy"
        NO_DATA = "NO_DATA", "No data for 24 hours"

    unit = models.ForeignKey(BillableUnit, on_delete=models.CASCADE, related_name="+")
    version = models.ForeignKey(
        RatePlanVersion, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    status = models.CharField(max_length=8, choices=Status)
    last_event_at = models.DateTimeField(null=True)
    quantity = models.DecimalField(max_digits=60, decimal_places=12)
    subscriptions = models.IntegerField()
    customers = models.IntegerField()
    tiers = models.JSONField(
        default=list, help_text="[{from, to, subscriptions, customers, quantity}, ...]"
    )
    as_of = models.DateTimeField(help_text="on the tenant's clock")

    class Meta:
        db_table = "unit_health"
        verbose_name_plural = "unit health"
        ordering = ("unit__name", "version")
        constraints = (
            models.UniqueConstraint(
                name="unit_has_one_health_per_version",
                fields=("tenant", "unit", "version"),
                nulls_distinct=False,
            ),
        )

    def __str__(self) -> str:
        return f"{self.unit} in {self.version or 'no plan'}"
