"""What is told of a customer by e-mail: written with the fact, sent until it is taken."""

from django.db import models
from django.db.models import Q

from aforo.tenancy.models import TenantOwned
from catalog.models import Customer


class CustomerLetter(TenantOwned):
    """One e-mail about one fact, to a customer's billing address or account manager."""

    class State(models.TextChoices):
        WAITING = "WAITING", "to be sent"
        SENT = "SENT", "sent"
        FAILED = "FAILED", "given up"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    message_id = models.UUIDField(help_text="of the fact; messages are not kept for good")
    fact = models.CharField(max_length=64)
    address = models.CharField(max_length=320)
    title = models.CharField(max_length=200)
    text = models.TextField()
    told_at = models.DateTimeField(help_text="when the fact was told, on the tenant's clock")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(help_text="on everybody's clock")
    last_error = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField(help_text="on everybody's clock")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "customer_letters"
        ordering = ("-created_at", "-id")
        constraints = (
            models.UniqueConstraint(
                name="a_customer_is_written_once_of_a_fact", fields=("tenant", "message_id")
            ),
        )
        indexes = (
            models.Index(
                name="letters_to_customers_due",
                fields=("next_attempt_at",),
                condition=Q(state="WAITING"),
            ),
            models.Index(name="letters_of_customer", fields=("tenant", "customer", "fact")),
        )

    def __str__(self) -> str:
        return f"{self.title} to {self.address}"
