"""Whose margins a committed drain has moved: asked about only where somebody guards them."""

from collections import defaultdict
from uuid import UUID

from metering.ingest import enrichment
from metering.ingest.rating import Locked
from metering.margin import nudges
from metering.selectors.guards import has_guards

_guarded: dict[UUID, tuple[int, bool]] = {}  # by tenant, under one version of its catalog


def note_all(locked: Locked) -> None:
    """Ask for a look at the customers of tenants with guards."""
    tenants = {target.tenant_id for target in locked.groups}
    guarded = {tenant_id for tenant_id in tenants if _is_guarded(tenant_id)}
    if not guarded:
        return
    moved: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for target in locked.groups:
        if target.tenant_id in guarded:
            moved[target.tenant_id].add(target.customer_id)
    for tenant_id, customer_ids in moved.items():
        nudges.note(tenant_id, customer_ids)


def _is_guarded(tenant_id: UUID) -> bool:
    """Asked once per version: whoever makes a guard raises it."""
    version = enrichment.version_of(tenant_id)
    known = _guarded.get(tenant_id)
    if known is None or known[0] != version:
        known = _guarded[tenant_id] = (version, has_guards(tenant_id))
    return known[1]
