"""Keeping what was reported as a cost: each once, before the answer."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from aforo.errors import Unauthenticated
from aforo.ids import new_id
from catalog.selectors.customer_names import customers_by_name
from metering.ingest import costs, events, known, own_customer
from metering.ingest.costs import Cost
from metering.ingest.events import Refusal
from metering.ingest.known import KnownKey
from metering.ingest.routing import shown
from metering.margin import nudges
from metering.models import CostEvent
from metering.selectors.guards import has_guards

# Sorted keys, as in the ledger of usage: two requests with the same keys never deadlock.
_INSERT = """
    INSERT INTO cost_events (id, tenant_id, kind, customer_id, amount, currency, idempotency_key,
        body, usage_key, metric, occurred_at, received_at, api_key_id, metadata)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::uuid[], %s::numeric[], %s::text[],
        %s::text[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
        %s::uuid[], %s::text[])
    ON CONFLICT (tenant_id, idempotency_key) DO NOTHING RETURNING idempotency_key
"""

NOBODY = (None, "")


@dataclass(slots=True)
class CostAdmission:
    """What became of the costs of one request: nothing of it is left to be decided later."""

    event_count: int
    refused: dict[int, Refusal] = field(default_factory=dict)
    made_keys: dict[int, str] = field(default_factory=dict)
    duplicates: int = 0

    @property
    def accepted(self) -> int:
        return self.event_count - self.duplicates - len(self.refused)


@dataclass(frozen=True, slots=True)
class _Passed:
    """A cost that passed its checks, under its key."""

    index: int
    cost: Cost
    key: str
    customer_id: UUID
    occurred: datetime
    body: UUID


def record_costs(
    *, digest: bytes, key: KnownKey, body: bytes, header_key: str | None, now: datetime
) -> CostAdmission:
    """Keep each cost of a body once, for good; refused ones are named by index.

    When this returns, nothing that it accepted can be lost. Raises Unreadable (400), TooLarge
    (413), or Unauthenticated (401) when the key was revoked since it was last seen.
    """
    with transaction.atomic():
        if not known.is_open(digest):
            raise Unauthenticated("this API key has been revoked")
        raws = events.split(events.event_array(body))
        header = header_key if len(raws) == 1 else None
        readings = [
            costs.read(raw, tenant_id=key.tenant_id, received_at=now, header_key=header)
            for raw in raws
        ]
        return _recorded(readings, key, now)


def _recorded(readings: list[Cost | Refusal], key: KnownKey, now: datetime) -> CostAdmission:
    admission = CostAdmission(len(readings))
    passed = _of_customers(readings, key, admission, now)
    first: dict[str, _Passed] = {}
    for one in passed:
        first.setdefault(one.key, one)
    stored = _kept(first, key, now)
    moved = {one.customer_id for one in first.values() if one.key not in stored}
    if moved and has_guards(key.tenant_id):
        transaction.on_commit(lambda: nudges.note(key.tenant_id, moved), robust=True)
    for one in passed:
        if stored.get(one.key, first[one.key].body) != one.body:
            detail = "idempotencyKey was used before for another cost"
            admission.refused[one.index] = Refusal("IDEMPOTENCY_CONFLICT", detail)
        elif one.key in stored or first[one.key] is not one:
            admission.duplicates += 1
    return admission


def _of_customers(
    readings: list[Cost | Refusal], key: KnownKey, admission: CostAdmission, now: datetime
) -> list[_Passed]:
    """The costs of customers that exist, and that the key may speak of; the others are refused."""
    names = {one.customerId for one in readings if isinstance(one, Cost)}
    customers = customers_by_name(key.tenant_id, names) if names else {}
    passed = []
    for index, one in enumerate(readings):
        if isinstance(one, Refusal):
            admission.refused[index] = one
        elif key.customer_id and key.customer_id != customers.get(one.customerId, NOBODY)[0]:
            admission.refused[index] = own_customer.refusal(one.customerId)
        elif one.customerId not in customers:
            detail = f"customerId {shown(one.customerId)} is no customer here"
            admission.refused[index] = Refusal("UNKNOWN_CUSTOMER", detail)
        else:
            if one.idempotencyKey is None:
                admission.made_keys[index] = f"auto:{new_id()}"
            customer_id, _ = customers[one.customerId]
            occurred = one.as_event().occurred(now)
            own_key = one.idempotencyKey or admission.made_keys[index]
            body = one.body(customer_id, occurred)
            passed.append(_Passed(index, one, own_key, customer_id, occurred, body))
    return passed


def _kept(first: dict[str, _Passed], key: KnownKey, now: datetime) -> dict[str, UUID]:
    """Insert them all; the stored body of those that were there before, by key."""
    if not first:
        return {}
    rows = [_row(first[name], key, now) for name in sorted(first)]
    columns = [list(column) for column in zip(*rows, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, columns)
        old = set(first) - {name for (name,) in cursor.fetchall()}
    if not old:
        return {}
    stored = CostEvent.objects.for_tenant(key.tenant_id).filter(idempotency_key__in=old)
    return dict(stored.values_list("idempotency_key", "body"))


def _row(one: _Passed, key: KnownKey, now: datetime) -> tuple[object, ...]:
    cost = one.cost
    return (
        new_id(), key.tenant_id, cost.kind, one.customer_id, cost.amount, cost.currency, one.key,
        one.body, cost.usageKey or "", cost.metricName or "", one.occurred, now, key.id,
        cost.as_event().metadata_text() or "",
    )  # fmt: skip
