"""The clock of a sandbox: frozen, moved on, let go. It never runs backwards.

Only the tenant's row is changed here; metering makes the partitions that a new time needs first.
"""

from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from aforo.errors import Refused
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor

# Wide enough for any trace, narrow enough that a period added to it is still a date.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@transaction.atomic
def freeze_clock(*, tenant: Tenant, at: datetime, actor: Actor) -> Tenant:
    """Stop the clock of a sandbox at `at`. The first time may lie in the past, later ones not."""
    locked = _locked_sandbox(tenant)
    is_untouched = locked.clock_frozen_at is None and not locked.clock_offset
    _require_possible(locked, at, may_go_back=is_untouched)
    return _set(locked, frozen_at=at, offset=timedelta(0), action="CLOCK_FROZEN", actor=actor)


@transaction.atomic
def advance_clock(*, tenant: Tenant, to: datetime, actor: Actor) -> Tenant:
    """Move the clock of a sandbox on to `to`; a frozen one stays frozen there."""
    locked = _locked_sandbox(tenant)
    _require_possible(locked, to, may_go_back=False)
    if locked.clock_frozen_at is not None:
        return _set(locked, frozen_at=to, offset=timedelta(0), action="CLOCK_ADVANCED", actor=actor)
    offset = to - timezone.now()
    return _set(locked, frozen_at=None, offset=offset, action="CLOCK_ADVANCED", actor=actor)


@transaction.atomic
def unfreeze_clock(*, tenant: Tenant, actor: Actor) -> Tenant:
    """Let a frozen clock run on from where it stood; one that runs is left alone."""
    locked = _locked_sandbox(tenant)
    if locked.clock_frozen_at is None:
        return locked
    offset = locked.clock_frozen_at - timezone.now()
    return _set(locked, frozen_at=None, offset=offset, action="CLOCK_UNFROZEN", actor=actor)


def _locked_sandbox(tenant: Tenant) -> Tenant:
    locked = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    if not locked.is_sandbox:
        raise Refused(f"tenant '{locked}' is live: only a sandbox has a clock of its own")
    return locked


def _require_possible(tenant: Tenant, at: datetime, *, may_go_back: bool) -> None:
    if at.tzinfo is None:
        raise Refused(f"{at.isoformat()} names no time zone")
    if not EARLIEST <= at < LATEST:
        raise Refused(
            f"a clock runs from {EARLIEST.year} to {LATEST.year}, not at {at.isoformat()}"
        )
    current = clock.now(tenant)
    if at < current and not may_go_back:
        raise Refused(
            f"the clock of '{tenant}' stands at {current.isoformat()} and cannot go back to"
            f" {at.isoformat()}"
        )


def _set(
    tenant: Tenant, *, frozen_at: datetime | None, offset: timedelta, action: str, actor: Actor
) -> Tenant:
    before = {"now": clock.now(tenant), "frozen": tenant.clock_frozen_at is not None}
    tenant.clock_frozen_at, tenant.clock_offset = frozen_at, offset
    tenant.save(update_fields=["clock_frozen_at", "clock_offset"])
    now = clock.now(tenant)
    after = {"now": now, "frozen": frozen_at is not None}
    changes = audit.differences(before, after)
    audit.record(tenant=tenant, actor=actor, action=action, target=tenant, now=now, changes=changes)
    return tenant
