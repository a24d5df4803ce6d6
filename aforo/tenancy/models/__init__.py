"""Who is here: tenants and their clocks, members, keys, and who changed what."""

from aforo.tenancy.models.api_keys import ApiKey
from aforo.tenancy.models.audit import AuditEntry
from aforo.tenancy.models.members import Member
from aforo.tenancy.models.owned import TenantOwned, TenantQuerySet
from aforo.tenancy.models.tenants import Tenant
from aforo.tenancy.models.tokens import BlockedToken, TokenKey

__all__ = [
    "ApiKey",
    "AuditEntry",
    "BlockedToken",
    "Member",
    "Tenant",
    "TenantOwned",
    "TenantQuerySet",
    "TokenKey",
]
