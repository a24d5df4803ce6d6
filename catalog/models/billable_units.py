"""Billable units (`metric` on the wire): what is counted, and how."""

from django.db import models
from django.db.models import Q

from aforo.tenancy.models import TenantOwned
from catalog.models.products import Product, ProductType


class Aggregation(models.TextChoices):
    COUNT = "COUNT", "number of events"
    SUM = "SUM", "sum of quantities"
    MAX = "MAX", "largest quantity"
    UNIQUE = "UNIQUE", "distinct values of a metadata field"
    LATEST = "LATEST", "quantity of the latest event"
    AVG = "AVG", "average quantity"
    PERCENTILE_95 = "PERCENTILE_95", "95th percentile of quantities"
    WEIGHTED_SUM = "WEIGHTED_SUM", "level, weighted by how long it was held"


class Rounding(models.TextChoices):
    NONE = "", "not rounded"
    ROUND = "ROUND", "half to even"
    CEIL = "CEIL", "up"
    FLOOR = "FLOOR", "down"


class BillableUnit(TenantOwned):
    """One thing that is counted: events of `source_metric` that meet every filter condition."""

    name = models.CharField(max_length=200, help_text="`metricName` on the wire")
    unit_label = models.CharField(max_length=40, blank=True, help_text="token, call, GB ...")
    description = models.TextField(blank=True)
    aggregation = models.CharField(max_length=16, choices=Aggregation, default=Aggregation.COUNT)
    event_field = models.CharField(
        max_length=200, blank=True, help_text="metadata key whose distinct values UNIQUE counts"
    )
    source_metric = models.CharField(
        max_length=200,
        blank=True,
        help_text="counts events of this metric; empty: events that carry the unit's own name",
    )
    filter_conditions = models.JSONField(
        default=list, blank=True, help_text='[{"field", "operator", "value"}, ...], all must hold'
    )
    allowed_sources = models.JSONField(
        default=list, blank=True, help_text="who may send its events; empty: everybody"
    )
    key_fields = models.JSONField(
        default=list,
        blank=True,
        help_text="fields that make the key of an event which comes without one",
    )
    divide_by = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=1,
        db_default=1,
        help_text="what the aggregated quantity is divided by before it is priced",
    )
    rounding = models.CharField(
        max_length=8, choices=Rounding, blank=True, default=Rounding.NONE, db_default=""
    )
    rounding_places = models.PositiveSmallIntegerField(default=0, db_default=0)
    recurring = models.BooleanField(
        default=False,
        db_default=False,
        help_text="the level carries into the next period: seats, storage",
    )
    tax_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    unit_cost = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="what one unit costs the seller"
    )
    product_type = models.CharField(max_length=16, choices=ProductType, default=ProductType.API)
    products = models.ManyToManyField(Product, related_name="billable_units", blank=True)
    created_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "billable_units"
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                name="billable_unit_name_is_taken_once", fields=("tenant", "name")
            ),
            models.CheckConstraint(
                name="unique_names_the_field_it_counts",
                condition=~Q(aggregation="UNIQUE") | ~Q(event_field=""),
            ),
            models.CheckConstraint(
                name="quantities_are_divided_by_more_than_nothing", condition=Q(divide_by__gt=0)
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def metric(self) -> str:
        """The metric name that its events carry."""
        return self.source_metric or self.name
