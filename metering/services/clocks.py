"""The clock of a sandbox, moved with all that metering needs of the new time made first."""

from datetime import datetime

from django.db import transaction

from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import clocks
from aforo.tenancy.services.actors import Actor
from catalog.services.advancing import advance_tenant
from catalog.services.contract_renewals import renew_until
from catalog.services.periods import AHEAD, extend_tenant_periods
from metering.entitlements import publishing
from metering.services import partitions


def freeze(*, tenant: Tenant, at: datetime, actor: Actor) -> Tenant:
    """Stop the clock of a sandbox at `at`; Refused on a live tenant or for a time gone by."""
    _make_room(tenant, at)
    return _told(clocks.freeze_clock(tenant=tenant, at=at, actor=actor))


def advance(*, tenant: Tenant, to: datetime, actor: Actor) -> Tenant:
    """Move the clock of a sandbox on to `to`: all that its new time needs is there before.

    What has become due in its subscriptions by then has taken effect when this returns.
    """
    _make_room(tenant, to)
    advanced = clocks.advance_clock(tenant=tenant, to=to, actor=actor)
    advance_tenant(tenant.pk, now=to)
    return _told(advanced)


def unfreeze(*, tenant: Tenant, actor: Actor) -> Tenant:
    """Let the clock run on from where it stands."""
    return _told(clocks.unfreeze_clock(tenant=tenant, actor=actor))


def _told(tenant: Tenant) -> Tenant:
    """Access checks go by the tenant's clock too."""
    transaction.on_commit(lambda: publishing.after_clock(tenant.pk), robust=True)
    return tenant


def _make_room(tenant: Tenant, moment: datetime) -> None:
    """Only for times that a clock may take; the clock service says why others are refused."""
    is_possible = moment.tzinfo is not None and clocks.EARLIEST <= moment < clocks.LATEST
    if tenant.is_sandbox and is_possible:
        partitions.make_around([moment])
        extend_tenant_periods(tenant, moment + AHEAD)
        renew_until(tenant, moment, now=clock.now(tenant))
