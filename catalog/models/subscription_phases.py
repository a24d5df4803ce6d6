"""What belongs to a subscription for as long as it lasts: the phases it came through, its keys."""

import pgtrigger
from django.db import models

from aforo.tenancy.models import ApiKey, TenantOwned
from catalog.models.offerings import Offering
from catalog.models.subscriptions import Subscription


class SubscriptionPhase(TenantOwned):
    """One state that a subscription was in: written once, when it came into it."""

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="phases")
    state = models.CharField(max_length=16, choices=Subscription.State)
    offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True)
    actor_name = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()

    class Meta:
        db_table = "subscription_phases"
        ordering = ("subscription", "started_at", "id")
        indexes = (
            models.Index(name="phases_of_subscription", fields=("subscription", "started_at")),
        )
        triggers = (
            pgtrigger.Protect(
                name="phases_never_change", operation=pgtrigger.Update | pgtrigger.Delete
            ),
        )

    def __str__(self) -> str:
        return f"{self.state} since {self.started_at:%Y-%m-%d}"


class SubscriptionKey(TenantOwned):
    """A key that was given out for one subscription, and is revoked with its cancellation."""

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="keys")
    key = models.OneToOneField(ApiKey, on_delete=models.CASCADE, related_name="subscription")

    class Meta:
        db_table = "subscription_keys"
        ordering = ("subscription",)

    def __str__(self) -> str:
        return f"{self.key} of {self.subscription}"
