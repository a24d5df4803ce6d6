"""A tenant's usage events as people look for them: newest first, by what they say of themselves.

No page reads more than a fixed number of rows, however many events there are: by default those
that the tenant's index holds next, for rare keys and customers those that their own paths lead to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from aforo.tenancy.models import Tenant
from catalog.models import Customer, Subscription
from catalog.selectors.listings import customer_called
from metering.models import RunningTotal, UsageEvent

WALKED = 50_000  # events that one page looks at: some 50 ms where all are in memory
FEW = 20_000  # events of a customer that are quicker sorted than looked for among all others
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Row values are compared as a whole, as the index is sorted; the bare times let months be skipped.
_WALK = """
    SELECT {columns} FROM usage_events
    WHERE tenant_id = %(tenant)s AND occurred_at <= %(at)s AND (occurred_at, id) < (%(at)s, %(id)s)
      {conditions}
    ORDER BY occurred_at DESC, id DESC LIMIT %(limit)s
"""
# The OFFSET keeps the planner from walking the whole tenant in order for the sake of the LIMIT.
_GATHER = """
    SELECT {columns} FROM (
        SELECT * FROM usage_events WHERE tenant_id = %(tenant)s {conditions} OFFSET 0) AS found
    WHERE (occurred_at, id) < (%(at)s, %(id)s)
    ORDER BY occurred_at DESC, id DESC LIMIT %(limit)s
"""
_FLOOR = """
    SELECT occurred_at, id FROM usage_events
    WHERE tenant_id = %(tenant)s AND occurred_at <= %(at)s AND (occurred_at, id) < (%(at)s, %(id)s)
      {conditions}
    ORDER BY occurred_at DESC, id DESC OFFSET %(walked)s LIMIT 1
"""
_ABOVE_FLOOR = "occurred_at >= %(floor_at)s AND (occurred_at, id) > (%(floor_at)s, %(floor_id)s)"
_CONDITIONS = {
    "metric": "metric = %(metric)s",
    "product_type": "product_type = %(product_type)s",
    "session_id": "session_id = %(session_id)s",
    "source": "source = %(source)s",
    "late": "late = %(late)s",
    "idempotency_key": "idempotency_key = %(idempotency_key)s",
    "batch_id": "batch_id = %(batch_id)s",
    "subscription_id": "subscription_id = %(subscription_id)s",
    "since": "occurred_at >= %(since)s",
    "until": "occurred_at < %(until)s",
}
# Summaries of their own lead to the few pages these are on.
_SCARCE = ("idempotency_key", "batch_id")
_OF_CUSTOMERS = "customer_id = ANY(%(customers)s)"
_OF_TOTALS = """(running_total_id = ANY(%(totals)s)
    OR (running_total_id IS NULL AND customer_id = ANY(%(customers)s)))"""
_COLUMNS = ", ".join(f'"{field.column}"' for field in UsageEvent._meta.concrete_fields)  # noqa: SLF001 - Django documents it


class Place(NamedTuple):
    """Where a page ended: everything further is earlier, or was counted before it."""

    occurred_at: datetime
    id: int

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "Place":
        """Raises OverflowError when no calendar holds it."""
        return cls(_EPOCH + numbers[0] * _MICROSECOND, numbers[1])

    @property
    def numbers(self) -> tuple[int, int]:
        return ((self.occurred_at - _EPOCH) // _MICROSECOND, self.id)


@dataclass(frozen=True, slots=True)
class Looked:
    """What is looked for; None: anything. `since` is included, `until` is not."""

    customer: str | None = None
    metric: str | None = None
    product_type: str | None = None
    session_id: str | None = None
    source: str | None = None
    late: bool | None = None
    idempotency_key: str | None = None
    batch_id: UUID | None = None
    subscription_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def named(self) -> dict[str, Any]:
        """What is asked for, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


class Page(NamedTuple):
    """Events, newest first, and where to go on. It may be short, even empty, and not the last."""

    events: list[UsageEvent]
    end: Place | None


def usage_page(*, tenant: Tenant, looked: Looked, before: Place | None, size: int) -> Page:
    """The tenant's next `size` events before a place that are what is looked for."""
    start = before or Place(_END, 0)
    asked = looked.named
    customers = _customer_ids(tenant, looked)
    if customers == []:
        return Page([], None)
    asked.pop("customer", None)
    values: dict[str, Any] = {"tenant": tenant.pk, "limit": size + 1, **asked}
    conditions = [_CONDITIONS[name] for name in asked]
    totals = _few_totals(tenant, customers, looked.subscription_id) if customers else None
    if customers:
        conditions.append(_OF_CUSTOMERS if totals is None else _OF_TOTALS)
        values |= {"customers": customers, "totals": totals}
    if totals is not None or any(name in asked for name in _SCARCE):
        return _page(_read(_GATHER, conditions, values, start), size, None)
    return _walked(conditions, values, start, size)


def _walked(conditions: Sequence[str], values: Mapping[str, Any], start: Place, size: int) -> Page:
    """The next events by the tenant's index; a page that finds few ends where it stopped looking.

    Times are what the index is sorted by: they need no stop.
    """
    until = values.get("until")
    if isinstance(until, datetime) and until <= start.occurred_at:
        start = Place(until, 0)
    times = [condition for condition in conditions if condition.startswith("occurred_at")]
    floor = None if len(times) == len(conditions) else _floor(times, values, start)
    if floor is not None:
        conditions = [*conditions, _ABOVE_FLOOR]
        values = {**values, "floor_at": floor.occurred_at, "floor_id": floor.id}
    return _page(_read(_WALK, conditions, values, start), size, floor)


def _floor(times: Sequence[str], values: Mapping[str, Any], start: Place) -> Place | None:
    """The place beyond which this page does not look; None when so much is not there."""
    bounds = {**values, "at": start.occurred_at, "id": start.id, "walked": WALKED}
    with connection.cursor() as cursor:
        cursor.execute(_FLOOR.format(conditions=_joined(times)), bounds)
        row = cursor.fetchone()
    return Place(*row) if row else None


def _joined(conditions: Sequence[str]) -> str:
    return "".join(f" AND {condition}" for condition in conditions)


def _read(
    sql: str, conditions: Sequence[str], values: Mapping[str, Any], start: Place
) -> list[UsageEvent]:
    query = sql.format(columns=_COLUMNS, conditions=_joined(conditions))
    bounds = {"at": start.occurred_at, "id": start.id}
    return list(UsageEvent.objects.raw(query, {**values, **bounds}))  # any tenant: the SQL says so


def _page(rows: list[UsageEvent], size: int, floor: Place | None) -> Page:
    events = rows[:size]
    if len(rows) > size:
        return Page(events, Place(events[-1].occurred_at, events[-1].pk))
    return Page(events, floor and Place(floor.occurred_at, floor.id + 1))


def _customer_ids(tenant: Tenant, looked: Looked) -> list[UUID] | None:
    """The customers whose events are looked for; None when nobody is named."""
    if looked.customer is None and looked.subscription_id is None:
        return None
    customers = Customer.objects.for_tenant(tenant)
    if looked.customer is not None:
        customers = customers.filter(customer_called(looked.customer))
    if looked.subscription_id is not None:
        customers = customers.filter(subscriptions=looked.subscription_id)
    return list(customers.values_list("pk", flat=True))


def _few_totals(
    tenant: Tenant, customers: list[UUID], subscription_id: UUID | None
) -> list[int] | None:
    """The totals that count these customers' events, where all of their events are few."""
    subscriptions = Subscription.objects.for_tenant(tenant).filter(customer_id__in=customers)
    if subscription_id is not None:
        subscriptions = subscriptions.filter(pk=subscription_id)
    totals = RunningTotal.objects.filter(  # any tenant: its own, by its bare id
        tenant_id=tenant.pk, subscription_id__in=list(subscriptions.values_list("pk", flat=True))
    )
    if (totals.aggregate(rows=Sum("position"))["rows"] or 0) > FEW:
        return None
    return None if _many_unbilled(tenant, customers) else list(totals.values_list("pk", flat=True))


def _many_unbilled(tenant: Tenant, customers: list[UUID]) -> bool:
    rows = UsageEvent.objects.filter(  # any tenant: its own, by its bare id
        tenant_id=tenant.pk, customer_id__in=customers, running_total_id=None
    )
    return bool(rows.order_by().values("pk")[FEW : FEW + 1])


def customer_names(*, tenant: Tenant, events: Sequence[UsageEvent]) -> dict[UUID, str]:
    """The external ids of the customers of these events."""
    ids = {event.customer_id for event in events if event.customer_id}
    rows = Customer.objects.for_tenant(tenant).filter(pk__in=ids)
    return dict(rows.values_list("pk", "external_id"))
