"""The audit log: one entry for each change of catalog, keys or money, written by its service."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Model

from aforo.money import plain
from aforo.tenancy.models import AuditEntry, Tenant
from aforo.tenancy.services.actors import Actor

Changes = dict[str, dict[str, object]]


def record(
    *,
    tenant: Tenant | UUID,
    actor: Actor,
    action: str,
    target: Model,
    now: datetime,
    changes: Mapping[str, object] | None = None,
    reason: str = "",
) -> AuditEntry:
    """Note in the caller's transaction that `actor` did `action`, such as `RATE_PLAN_PUBLISHED`."""
    return AuditEntry.objects.create(
        tenant_id=tenant.pk if isinstance(tenant, Tenant) else tenant,
        at=now,
        actor_type=actor.type,
        actor_id=actor.id,
        actor_name=actor.name[:200],
        role=actor.role,
        address=actor.address,
        action=action,
        target_type=type(target).__name__,
        target_id=str(target.pk),
        target_name=str(target)[:200],
        changes=_plain_json(changes or {}),
        reason=reason,
        request_id=actor.request_id,
    )


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> Changes:
    """The fields of `after` that differ, each as `{"before": ..., "after": ...}`."""
    return {
        field: {"before": before.get(field), "after": value}
        for field, value in after.items()
        if before.get(field) != value
    }


def _plain_json(value: object) -> object:
    """`value` in JSON's own types; a Decimal keeps each of its digits, as text."""
    match value:
        case Mapping():
            return {str(key): _plain_json(member) for key, member in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain_json(member) for member in value]
        case None | bool() | int():
            return value
        case _:
            return _text(value)


def _text(value: object) -> str:
    match value:
        case Decimal():
            return plain(value)
        case date():
            return value.isoformat()
        case Model():
            return str(value.pk)
        case _:
            return str(value)
