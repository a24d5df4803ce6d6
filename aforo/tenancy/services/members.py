"""Members: people join a tenant in one role, and one owner always stays."""

from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from aforo.errors import Conflict, Forbidden, Refused
from aforo.tenancy.models import Member, Tenant
from aforo.tenancy.models.members import Role
from aforo.tenancy.roles import may_grant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor


@transaction.atomic
def add_member(
    *, tenant: Tenant, user: AbstractBaseUser, role: str, actor: Actor, now: datetime
) -> Member:
    """Let `user` act for `tenant` in `role`."""
    _require_grant(actor, role)
    try:
        with transaction.atomic():
            member = Member.objects.create(
                tenant=tenant, user_id=user.pk, role=role, created_at=now
            )
    except IntegrityError as error:
        raise Conflict(f"{user.get_username()} is a member of '{tenant}' already") from error
    _record(member, "MEMBER_ADDED", {"role": None}, {"role": role}, actor=actor, now=now)
    return member


@transaction.atomic
def change_role(*, member: Member, role: str, actor: Actor, now: datetime) -> Member:
    """Give `member` another role; the last owner keeps theirs."""
    locked = _locked(member)
    _require_grant(actor, role)
    _require_grant(actor, locked.role)
    if locked.role == role:
        return locked
    _require_another_owner(locked)
    before, locked.role = locked.role, role
    locked.save(update_fields=["role"])
    _record(locked, "MEMBER_CHANGED", {"role": before}, {"role": role}, actor=actor, now=now)
    return locked


@transaction.atomic
def remove_member(*, member: Member, actor: Actor, now: datetime) -> None:
    """Take `member` out of its tenant, unless it is the last owner."""
    locked = _locked(member)
    _require_grant(actor, locked.role)
    _require_another_owner(locked)
    _record(locked, "MEMBER_REMOVED", {"role": locked.role}, {"role": None}, actor=actor, now=now)
    locked.delete()


def _locked(member: Member) -> Member:
    # The tenant's row, not the member's: two owners who leave at once must see each other.
    Tenant.objects.select_for_update(no_key=True).get(pk=member.tenant_id)
    members = Member.objects.for_tenant(member.tenant_id)
    locked: Member = members.select_related("tenant", "user").get(pk=member.pk)
    return locked


def _require_grant(actor: Actor, role: str) -> None:
    if role not in Role:
        raise Refused(f"there is no role '{role}'")
    if not may_grant(actor.role, role):
        raise Forbidden(f"role {actor.role or 'nobody'} may not decide about role {role}")


def _require_another_owner(member: Member) -> None:
    owners = Member.objects.for_tenant(member.tenant_id).filter(role=Role.OWNER)
    if member.role == Role.OWNER and not owners.exclude(pk=member.pk).exists():
        raise Refused(f"{member.user} is the last owner of '{member.tenant}'")


def _record(
    member: Member,
    action: str,
    before: dict[str, object],
    after: dict[str, object],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    audit.record(
        tenant=member.tenant_id,
        actor=actor,
        action=action,
        target=member,
        now=now,
        changes=audit.differences(before, after),
    )
