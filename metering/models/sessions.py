"""Sessions of agents and tools: derived from events and heartbeats, ended when nothing comes."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models

from aforo.fields import ExactDecimalField
from aforo.tenancy.models import TenantOwned


def idle_after() -> timedelta:
    """The silence after which an open session is IDLE."""
    return timedelta(seconds=settings.SESSION_IDLE_SECONDS)


class Session(TenantOwned):
    """One session as its events tell it. Times are on the tenant's clock.

    CREATED, ACTIVE and IDLE follow from the times; a close and a kill are written down.
    """

    class State(models.TextChoices):
        CREATED = "CREATED", "opened, no call yet"
        ACTIVE = "ACTIVE", "active"
        IDLE = "IDLE", "nothing came for a minute"
        CLOSED = "CLOSED", "closed"

    class CloseReason(models.TextChoices):
        ENDED = "ENDED", "its client said so"
        TIMEOUT = "TIMEOUT", "nothing came for an hour"
        KILLED = "KILLED", "it was killed"

    session_id = models.TextField(help_text="as the client names it")
    customer_name = models.TextField(blank=True, help_text="customerId of its events")
    agent_id = models.TextField(blank=True)
    product_type = models.TextField(blank=True)
    started_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    calls = models.BigIntegerField(default=0, help_text="events but for heartbeats")
    heartbeats = models.BigIntegerField(default=0)
    tokens = ExactDecimalField(default=0)
    cost = ExactDecimalField(default=0)
    revenue = ExactDecimalField(default=0)
    closed_at = models.DateTimeField(null=True, blank=True)
    close_reason = models.CharField(max_length=8, choices=CloseReason, blank=True)
    killed_at = models.DateTimeField(null=True, blank=True)
    killed_by = models.CharField(max_length=200, blank=True)
    kill_reason = models.TextField(blank=True)
    summed_up_at = models.DateTimeField(
        null=True, blank=True, help_text="when its consolidated event was sent"
    )

    class Meta:
        db_table = "sessions"
        ordering = ("-last_seen_at",)
        constraints = (
            models.UniqueConstraint(name="session_is_kept_once", fields=("tenant", "session_id")),
        )
        indexes = (
            models.Index(name="sessions_by_time", fields=("tenant", "-last_seen_at")),
            models.Index(
                name="sessions_still_open",
                fields=("tenant", "last_seen_at"),
                condition=models.Q(closed_at__isnull=True),
            ),
            models.Index(
                name="sessions_killed",
                fields=("tenant", "killed_at"),
                condition=models.Q(killed_at__isnull=False),
            ),
            models.Index(
                name="sessions_to_sum_up",
                fields=("tenant", "closed_at"),
                condition=models.Q(closed_at__isnull=False, summed_up_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return self.session_id

    def state_at(self, now: datetime) -> "Session.State":
        """Its state when the tenant's clock shows `now`."""
        if self.closed_at is not None:
            return Session.State.CLOSED
        if self.last_seen_at <= now - idle_after():
            return Session.State.IDLE
        return Session.State.ACTIVE if self.calls else Session.State.CREATED
