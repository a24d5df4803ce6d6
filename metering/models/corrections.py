"""Corrections: an event is never changed, what was wrong is taken back by a new fact."""

import pgtrigger
from django.db import models

from aforo.tenancy.models import TenantOwned


class Correction(TenantOwned):
    """One counted event taken back, and perhaps counted anew with other values.

    The row that takes it back stands in the same total at `void_position`; what an amendment
    counts instead is an event of its own under `replacement_key`. An event that several units
    count is taken back from each: one row per unit, under one `action_id`.
    """

    class Kind(models.TextChoices):
        VOID = "VOID", "Void"
        AMEND = "AMEND", "Amend"

    kind = models.CharField(max_length=8, choices=Kind)
    action_id = models.UUIDField(help_text="what was decided together")
    event_id = models.BigIntegerField(help_text="the usage event that was wrong")
    running_total_id = models.BigIntegerField(null=True, help_text="null: the event was unbilled")
    position = models.BigIntegerField(null=True, help_text="where the wrong event stands")
    void_position = models.BigIntegerField(
        null=True, help_text="where the row stands that takes it back"
    )
    idempotency_key = models.TextField()
    replacement_key = models.TextField(blank=True)
    reason = models.TextField()
    actor_name = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "corrections"
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(name="event_is_taken_back_once", fields=("event_id",)),
            models.UniqueConstraint(
                name="position_is_taken_back_once", fields=("running_total_id", "position")
            ),
        )
        indexes = (models.Index(name="corrections_of_tenant", fields=("tenant", "-created_at")),)
        triggers = (
            pgtrigger.Protect(
                name="corrections_are_append_only", operation=pgtrigger.Update | pgtrigger.Delete
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.idempotency_key}"
