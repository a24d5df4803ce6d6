"""What operators decide about many dead letters at once, and the alarm when too many are open."""

from django.db import models

from aforo.tenancy.models import Tenant, TenantOwned


class LetterDecision(TenantOwned):
    """One decision about all open letters that match; carried out page by page until finished."""

    class Act(models.TextChoices):
        REPLAY = "REPLAY", "Replay"
        DISCARD = "DISCARD", "Discard"

    act = models.CharField(max_length=8, choices=Act)
    chosen = models.JSONField(help_text="which letters: the filter as it was given")
    until_id = models.UUIDField(help_text="letters with a higher id came after the decision")
    reason = models.TextField(blank=True)
    decided_by = models.CharField(max_length=200)
    decided_at = models.DateTimeField()
    letters = models.IntegerField(default=0, help_text="decided so far")
    events = models.BigIntegerField(default=0, help_text="that those letters stand for")
    batches = models.IntegerField(default=0, help_text="sent again so far")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "letter_decisions"
        ordering = ("-decided_at",)
        indexes = (
            models.Index(
                name="letter_decisions_under_way",
                fields=("decided_at",),
                condition=models.Q(finished_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.act} of {self.decided_at:%Y-%m-%d %H:%M}"


class LetterAlarm(models.Model):
    """There while a tenant has as many open letters as its threshold: it is told once."""

    tenant = models.OneToOneField(Tenant, primary_key=True, on_delete=models.PROTECT)
    reached_at = models.DateTimeField()

    class Meta:
        db_table = "letter_alarms"

    def __str__(self) -> str:
        return str(self.tenant_id)
