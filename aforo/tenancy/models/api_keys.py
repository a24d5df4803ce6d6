"""API keys: shown once, stored as a hash, decisive for the tenant."""

from django.core.validators import RegexValidator
from django.db import models

from aforo.tenancy.models.members import Role
from aforo.tenancy.models.owned import TenantOwned


class ApiKey(TenantOwned):
    """A key of one tenant. Its SHA-256 is stored; 40 random characters need no slow hash."""

    class Kind(models.TextChoices):
        METERING = "METERING", "metering and access (sk_live_, sk_test_)"
        OPERATOR = "OPERATOR", "admin API (afo_)"

    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField(max_length=120, blank=True)
    role = models.CharField(
        max_length=16, choices=Role, default=Role.ADMIN, help_text="what an operator key may do"
    )
    prefix = models.CharField(max_length=8, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    source = models.CharField(
        max_length=16,
        default="API",
        db_default="API",
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_]*$", "capital letters, digits and _")],
        help_text="who sends with it, as billable units name their sources: SDK, GATEWAY ...",
    )
    rate_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="events a minute, or requests of an operator; empty: none"
    )
    created_at = models.DateTimeField(editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "api_keys"
        ordering = ("-created_at",)
        indexes = (models.Index(name="api_keys_of_tenant", fields=("tenant", "created_at")),)

    def __str__(self) -> str:
        return f"{self.prefix}…{self.last_four}"

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None
