"""Names of metrics that nobody has defined, seen where the tenant has units drafted for them."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class UnknownMetric(TenantOwned):
    """One name that an accepted event carried; a unit is drafted for it soon after, once."""

    name = models.CharField(max_length=400)
    first_seen_at = models.DateTimeField()
    drafted_at = models.DateTimeField(null=True, blank=True)
    unit_id = models.UUIDField(null=True, help_text="the unit that was drafted")

    class Meta:
        db_table = "unknown_metrics"
        ordering = ("first_seen_at",)
        constraints = (
            models.UniqueConstraint(name="unknown_metric_is_noted_once", fields=("tenant", "name")),
        )
        indexes = (
            models.Index(
                name="unknown_metrics_to_draft",
                fields=("tenant",),
                condition=models.Q(drafted_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return self.name
