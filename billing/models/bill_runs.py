"""Bill runs: one run over one window of one tenant."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value

from aforo.tenancy.models import TenantOwned
from catalog.models import SubscriptionPeriod


class BillRun(TenantOwned):
    """Bills every unbilled period that ends in (window_start, window_end] and is past.

    Its times are on everybody's clock, because they measure the run; the dates on its invoices are
    on the tenant's.
    """

    class Status(models.TextChoices):
        CREATED = "CREATED", "Created"
        WAITING = "WAITING", "Waiting for the inbox"
        RUNNING = "RUNNING", "Running"
        COMPLETED = "COMPLETED", "Completed"
        PARTIALLY_FAILED = "PARTIALLY_FAILED", "Partially failed"
        FAILED = "FAILED", "Failed"
        CANCELLED = "CANCELLED", "Cancelled"

    UNFINISHED = (Status.CREATED, Status.WAITING, Status.RUNNING)

    class Scope(models.TextChoices):
        ALL = "ALL", "All"
        CUSTOMER = "CUSTOMER", "Customer"
        SUBSCRIPTION = "SUBSCRIPTION", "Subscription"
        OFFERING = "OFFERING", "Offering"

    label = models.CharField(max_length=120, blank=True)
    window_start = models.DateTimeField(help_text="exclusive")
    window_end = models.DateTimeField(help_text="inclusive")
    scope = models.CharField(max_length=12, choices=Scope, default=Scope.ALL)
    scope_id = models.UUIDField(null=True, blank=True)
    auto_finalize = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=Status, default=Status.CREATED)
    inbox_watermark = models.BigIntegerField(
        null=True, help_text="inbox id that must have been drained before the run reads totals"
    )
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "bill_runs"
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                name="window_starts_before_it_ends",
                condition=Q(window_start__lt=F("window_end")),
            ),
            ExclusionConstraint(
                name="one_unfinished_run_per_tenant_and_window",
                expressions=(
                    ("tenant", RangeOperators.EQUAL),
                    (
                        Func(F("window_start"), F("window_end"), Value("(]"), function="TSTZRANGE"),
                        RangeOperators.OVERLAPS,
                    ),
                ),
                condition=Q(status__in=("CREATED", "WAITING", "RUNNING")),
            ),
        )

    def __str__(self) -> str:
        return self.label or f"{self.window_start:%Y-%m-%d} to {self.window_end:%Y-%m-%d}"


class BillRunItem(TenantOwned):
    """One period that a run must bill: where it stands, so that a run can be resumed."""

    class Status(models.TextChoices):
        PENDING = "PENDING", "Pending"
        BILLED = "BILLED", "Billed"
        FAILED = "FAILED", "Failed"

    run = models.ForeignKey(BillRun, on_delete=models.CASCADE, related_name="items")
    period = models.ForeignKey(SubscriptionPeriod, on_delete=models.PROTECT, related_name="+")
    page = models.IntegerField(help_text="one task bills one page")
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    failed_stage = models.CharField(max_length=20, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        db_table = "bill_run_items"
        ordering = ("run", "page", "id")
        constraints = (
            models.UniqueConstraint(name="run_bills_a_period_once", fields=("run", "period")),
        )
        indexes = (models.Index(name="items_to_bill", fields=("run", "status", "page")),)

    def __str__(self) -> str:
        return f"{self.period} {self.status}"
