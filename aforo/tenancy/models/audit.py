"""Who changed what: append-only, for catalog, keys and money."""

import pgtrigger
from django.db import models

from aforo.tenancy.models.owned import TenantOwned


class AuditEntry(TenantOwned):
    """One change by one actor, with the values before and after."""

    class ActorType(models.TextChoices):
        USER = "USER", "user"
        KEY = "KEY", "API key"
        SYSTEM = "SYSTEM", "system"

    at = models.DateTimeField()
    actor_type = models.CharField(max_length=8, choices=ActorType)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_name = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=16, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    action = models.CharField(max_length=64, help_text="such as RATE_PLAN_PUBLISHED")
    target_type = models.CharField(max_length=64)
    target_id = models.CharField(max_length=64)
    target_name = models.CharField(max_length=200, blank=True)
    changes = models.JSONField(default=dict, help_text='{"field": {"before": ..., "after": ...}}')
    reason = models.TextField(blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "audit_entries"
        verbose_name_plural = "audit entries"
        ordering = ("-at", "-id")
        indexes = (
            models.Index(name="audit_by_time", fields=("tenant", "-at")),
            models.Index(name="audit_by_target", fields=("tenant", "target_type", "target_id")),
        )
        triggers = (
            pgtrigger.Protect(
                name="audit_entries_are_append_only", operation=pgtrigger.Update | pgtrigger.Delete
            ),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.target_name or self.target_id}"
