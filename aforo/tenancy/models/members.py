"""People who may act for a tenant, each in one role."""

from django.conf import settings
from django.db import models

from aforo.tenancy.models.owned import TenantOwned


class Role(models.TextChoices):
    OWNER = "OWNER", "Owner"
    ADMIN = "ADMIN", "Admin"
    BILLING_ADMIN = "BILLING_ADMIN", "Billing admin"
    PRODUCT_MANAGER = "PRODUCT_MANAGER", "Product manager"
    DEVELOPER = "DEVELOPER", "Developer"
    MEMBER = "MEMBER", "Member (read only)"


class Member(TenantOwned):
    """A user of the admin, and what they may do for one tenant."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "members"
        ordering = ("tenant", "user")
        constraints = (
            models.UniqueConstraint(name="member_joins_a_tenant_once", fields=("tenant", "user")),
        )

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"
