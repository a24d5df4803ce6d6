"""Ties an event to its contract: customer, subscription in force, plan version, terms.

Contracts are remembered per process for as long as the tenant's `catalog_version` stands; every
drain transaction reads that number first.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from aforo.tenancy.models import Tenant
from metering.ingest.arrivals import Arrival, Dead
from metering.ingest.connection import hot_cursor
from metering.ingest.events import Refusal
from metering.ingest.own_customer import may_bring, refusal
from metering.ingest.routing import EVER, Targets, TenantContracts

AUTO = Tenant.LatePolicy.AUTO
_TENANTS = """
    SELECT id, catalog_version, hash_secret, unknown_metric, late_policy
    FROM tenants WHERE id = ANY(%s)
"""

Routed = tuple[Arrival, Targets]
TargetsOf = Callable[[Arrival], Targets | Refusal]
_batch = attrgetter("batch")
_occurred = attrgetter("occurred")


class _Memory(threading.local):
    """A drain's own: another thread's drain must not replace or clear what this one looks up."""

    def __init__(self) -> None:
        self.contracts: dict[UUID, TenantContracts] = {}


_memory = _Memory()


def attach_contracts(arrivals: Iterable[Arrival]) -> tuple[list[Routed], list[Dead], list[Arrival]]:
    """Each event with who counts it; the homeless as dead letters, and again as arrivals.

    The homeless come back as arrivals too, because their keys must be freed.
    """
    arrivals = list(arrivals)
    _refresh(arrivals)
    routed: list[Routed] = []
    dead: list[Dead] = []
    homeless: list[Arrival] = []
    for batch, group in groupby(arrivals, key=_batch):
        contracts = _memory.contracts[batch.tenant_id]
        targets_of: TargetsOf = contracts.targets
        if batch.customer_id is not None:  # sent with the key of a subscription
            targets_of = partial(_own_targets, contracts, batch.customer_id)
        for arrival in group:
            targets = targets_of(arrival)
            if isinstance(targets, Refusal):
                dead.append(Dead(batch, arrival.index, targets))
                homeless.append(arrival)
            else:
                routed.append((arrival, targets))
    return routed, dead, homeless


def _own_targets(contracts: TenantContracts, own: UUID, arrival: Arrival) -> Targets | Refusal:
    """Who counts an event of a key that may bring usage of one customer alone."""
    event = arrival.event
    if not may_bring(event, own=own, found=contracts.customer_of(event)):
        return refusal(event.customerId)
    return contracts.targets(arrival)


def secret_of(tenant_id: UUID) -> bytes:
    """The secret that keys the tenant's event hashes, as read by this drain."""
    return _memory.contracts[tenant_id].secret


def bills_late_usage(tenant_id: UUID) -> bool:
    """Whether events of billed periods go on the next invoice without anybody's decision."""
    return _memory.contracts[tenant_id].late_policy == AUTO


def version_of(tenant_id: UUID) -> int:
    """The tenant's `catalog_version`, as read by this drain."""
    return _memory.contracts[tenant_id].version


def undefined_metrics() -> dict[UUID, set[str]]:
    """By tenant, what units are to be drafted for and is not stored yet."""
    known = _memory.contracts.items()
    return {tenant_id: one.undefined for tenant_id, one in known if one.undefined}


def forget_undefined(stored: Mapping[UUID, Iterable[str]]) -> None:
    """These names are stored now."""
    for tenant_id, names in stored.items():
        if tenant_id in _memory.contracts:
            _memory.contracts[tenant_id].undefined.difference_update(names)


def forget_everything() -> None:
    """As a process that has just started."""
    _memory.contracts.clear()


def _refresh(arrivals: Iterable[Arrival]) -> None:
    """Forget what has changed since, and learn the customers that are new to this process."""
    names: defaultdict[UUID, set[str]] = defaultdict(set)
    latest: dict[UUID, datetime] = {}
    oldest: dict[UUID, datetime] = {}
    for batch, grouped in groupby(arrivals, key=_batch):
        group, tenant_id = list(grouped), batch.tenant_id
        names[tenant_id].update([arrival.event.customerId for arrival in group])
        latest[tenant_id] = batch.received_at
        earliest = min(map(_occurred, group))
        oldest[tenant_id] = min(oldest.get(tenant_id, EVER[1]), earliest)
    with hot_cursor() as cursor:
        rows = cursor.execute(_TENANTS, (list(names),)).fetchall()
    for tenant_id, version, secret, unknown, late_policy in rows:
        contracts = _memory.contracts.get(tenant_id)
        if contracts is None or contracts.version != version:
            contracts = TenantContracts(tenant_id, version, secret, unknown)
            _memory.contracts[tenant_id] = contracts
        contracts.treat_unknown_metrics(unknown)  # no prices: the version says nothing of it
        contracts.late_policy = late_policy
        contracts.load(names[tenant_id], latest[tenant_id], oldest[tenant_id])
        if not names[tenant_id] <= contracts.customers.keys():
            agents = _agents_of_strangers(tenant_id, arrivals, contracts.customers.keys())
            if agents:
                every = names[tenant_id] | agents
                contracts.load(every, latest[tenant_id], oldest[tenant_id])


def _agents_of_strangers(
    tenant_id: UUID, arrivals: Iterable[Arrival], known: Collection[str]
) -> set[str]:
    """The agents of events whose customerId is no customer's name."""
    return {
        arrival.event.agentId
        for arrival in arrivals
        if arrival.event.agentId
        and arrival.batch.tenant_id == tenant_id
        and arrival.event.customerId not in known
    }
