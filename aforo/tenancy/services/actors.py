"""Who acts: passed to every service that changes catalog, keys or money."""

from dataclasses import dataclass
from typing import Self

from django.contrib.auth.models import AbstractBaseUser

from aforo.tenancy.models import ApiKey, AuditEntry
from aforo.tenancy.models.members import Role

ActorType = AuditEntry.ActorType


@dataclass(frozen=True, slots=True)
class Actor:
    """One actor as the audit log will show it, with the address and the request it acts through."""

    type: AuditEntry.ActorType
    id: str = ""
    name: str = ""
    role: str = ""
    address: str | None = None
    request_id: str = ""

    @classmethod
    def system(cls, name: str = "system", *, request_id: str = "") -> Self:
        """The installation itself: Beat, a command, a migration. It may do everything."""
        return cls(ActorType.SYSTEM, name=name, role=Role.OWNER, request_id=request_id)

    @classmethod
    def key(cls, key: ApiKey, *, address: str | None = None, request_id: str = "") -> Self:
        """An operator key of the admin API, in the role it was issued with."""
        name = f"{key.name} ({key})" if key.name else str(key)
        return cls(ActorType.KEY, str(key.pk), name, key.role, address, request_id)

    @classmethod
    def user(
        cls,
        user: AbstractBaseUser,
        *,
        role: str,
        address: str | None = None,
        request_id: str = "",
    ) -> Self:
        """Somebody in the admin, in the role they have for the tenant they change."""
        return cls(ActorType.USER, str(user.pk), user.get_username(), role, address, request_id)
