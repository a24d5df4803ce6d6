"""Says after the commit whose access a change of the catalog may have changed.

Access checks answer from copies of the catalog that stand above it: the settings name who keeps
them. What is missed here, because a process ends in between, a sync repairs.
"""

import threading
from collections.abc import Callable, Collection
from functools import cache, partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from aforo.errors import Unavailable
from aforo.tenancy.models import TenantOwned
from catalog.models import Contract, Customer, CustomerAlias, Subscription

Listener = Callable[[UUID, Collection[UUID] | None], bool]


class _Waiting(threading.local):
    """What the transactions of this thread have changed; None for all customers of a tenant."""

    def __init__(self) -> None:
        self.customers: dict[UUID, set[UUID] | None] = {}


_waiting = _Waiting()


def tell_of(row: TenantOwned) -> None:
    """A change of `row`, where it hangs on one customer: others change nobody's access so."""
    if isinstance(row, Customer):
        tell(row.tenant_id, row.pk)
    elif isinstance(row, Subscription | CustomerAlias | Contract):
        tell(row.tenant_id, row.customer_id)


def tell(tenant_id: UUID, customer_id: UUID | None) -> None:
    """Say once this transaction has committed that a customer's access, or all, may differ."""
    known = _waiting.customers.setdefault(tenant_id, set())
    if customer_id is None:
        _waiting.customers[tenant_id] = None
    elif known is not None:
        known.add(customer_id)
    transaction.on_commit(_tell, robust=True)


def require_told(row: Subscription) -> None:
    """As `tell_of`, for what takes access away: once it is answered with success, it is in force.

    Where access checks cannot be told, whoever asked gets Unavailable after the commit, and asks
    again: so call this when there is nothing left to change, too.
    """
    transaction.on_commit(partial(_require_told, row.tenant_id, row.customer_id))


def _require_told(tenant_id: UUID, customer_id: UUID) -> None:
    if not _listener()(tenant_id, {customer_id}):
        raise Unavailable(
            "it is done, but access checks have not heard of it: ask again, or wait for the sync"
        )
    waiting = _waiting.customers.get(tenant_id)
    if waiting == {customer_id}:
        del _waiting.customers[tenant_id]  # nothing is left to be told


def _tell() -> None:
    """All at the first call after a commit; what was rolled back is told too, and does no harm."""
    waiting, _waiting.customers = _waiting.customers, {}
    for tenant_id, customers in waiting.items():
        _listener()(tenant_id, customers)


@cache
def _listener() -> Listener:
    listener: Listener = import_string(settings.AFTER_CATALOG_CHANGE)
    return listener
