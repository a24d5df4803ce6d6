"""Simulations: scenarios that run through the real pipeline in a tenant of their own."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class Simulation(TenantOwned):
    """One run of a scenario: what was expected, what came out, and PASS or FAIL for each."""

    class Status(models.TextChoices):
        QUEUED = "QUEUED", "Queued"
        RUNNING = "RUNNING", "Running"
        PASSED = "PASSED", "Passed"
        FAILED = "FAILED", "Failed"
        BROKEN = "BROKEN", "Broken off"

    name = models.CharField(max_length=200)
    scenario = models.JSONField(help_text="plan, customers, usage, clock moves, expectations")
    seed = models.BigIntegerField(default=1)
    status = models.CharField(max_length=8, choices=Status, default=Status.QUEUED)
    progress = models.PositiveSmallIntegerField(default=0, help_text="percent")
    report = models.JSONField(null=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "simulations"
        ordering = ("-created_at",)
        indexes = (models.Index(name="simulations_of_tenant", fields=("tenant", "-created_at")),)

    def __str__(self) -> str:
        return self.name
