"""Questions about tenants, keys, members and the audit log."""

from contextlib import suppress
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q

from aforo.tenancy.models import ApiKey, AuditEntry, Member, Tenant, TenantQuerySet
from aforo.tenancy.plaintext import digest_of


def api_keys(*, tenant: Tenant) -> TenantQuerySet:
    """All keys of a tenant, revoked ones too, newest first."""
    return ApiKey.objects.for_tenant(tenant).select_related("tenant")


def audit_entries(*, tenant: Tenant) -> TenantQuerySet:
    """Who changed what for a tenant, newest first."""
    return AuditEntry.objects.for_tenant(tenant)


def open_key(plaintext: str) -> ApiKey | None:
    """The key with this plaintext and its tenant, of whatever kind; None: unknown or revoked."""
    keys = ApiKey.objects.select_related("tenant")  # any tenant: the key decides which
    return keys.filter(digest=digest_of(plaintext), revoked_at__isnull=True).first()


def open_operator_key(plaintext: str) -> ApiKey | None:
    """The operator key with this plaintext and its tenant; None when unknown or revoked."""
    key = open_key(plaintext)
    return key if key is not None and key.kind == ApiKey.Kind.OPERATOR else None


def roles_by_tenant(user: AbstractBaseUser) -> dict[UUID, str]:
    """The tenants somebody is a member of, each with their role there."""
    members = Member.objects.filter(user_id=user.pk)  # any tenant: a person may serve several
    return dict(members.values_list("tenant_id", "role"))


def tenant_called(name: str) -> Tenant | None:
    """The tenant with this slug or id, as operators name it in a terminal."""
    named = Q(slug=name)
    with suppress(ValueError):
        named |= Q(pk=UUID(name))
    return Tenant.objects.filter(named).first()
