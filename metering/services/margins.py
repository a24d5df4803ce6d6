"""Judging margins: each crossing of a level told once, in force when it has committed."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog
from django.db import connection, transaction
from redis.exceptions import RedisError

from aforo.postgres.faults import is_of_the_server
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from catalog.models import Customer
from metering.entitlements import state
from metering.entitlements.state import Field, Version
from metering.margin import nudges
from metering.margin.answers import UNHELD, answers_of, stored_answers
from metering.margin.judging import Judged, Known, Pair, judge
from metering.margin.slices import current_slices
from metering.models import GuardCount, MarginGuard, MarginState
from metering.selectors.guards import guarded_tenants, guards_in_force, stored_rule, tags_of
from metering.services.look_alone import look_alone
from metering.services.margin_crossings import Crossing, tell

log = structlog.get_logger(__name__)
STATES_AT_A_TIME = 500  # customers per round trip
_KEPT = (
    "level",
    "reason",
    "currency",
    "revenue",
    "cost",
    "percent",
    "threshold",
    "since",
    "judged_at",
)
_COUNT = """
    INSERT INTO guard_counts (id, tenant_id, guard_id, day, plain)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::date[], %s::bigint[])
    ON CONFLICT (guard_id, day) DO UPDATE SET plain = guard_counts.plain + excluded.plain
"""


def evaluate_all(*, now: datetime) -> int:
    """Judge everybody whom a guard looks at; the number of crossings. May run twice, at once.

    What goes wrong with one tenant is raised when the others are done.
    """
    crossings, errors = 0, []
    for tenant_id in guarded_tenants():
        try:
            crossings += evaluate_tenant(tenant_id=tenant_id, now=now)
        except Exception as error:
            if is_of_the_server(error):
                raise
            log.exception("margins_of_tenant_not_judged", tenant=str(tenant_id))
            errors.append(error)
    if errors:
        raise ExceptionGroup("margins of some tenants are not judged", errors)
    return crossings


def evaluate_due(*, tenant_id: UUID, now: datetime) -> int:
    """Judge those of a tenant's customers whose numbers have moved since the last time."""
    due = nudges.take_due(tenant_id)
    return evaluate_tenant(tenant_id=tenant_id, now=now, customer_ids=due) if due else 0


@transaction.atomic
def evaluate_tenant(
    *, tenant_id: UUID, now: datetime, customer_ids: Collection[UUID] | None = None
) -> int:
    """Judge all of a tenant's customers, or some; the number of crossings.

    One at a time per tenant, in a number of statements that grows with guards and crossings alone.
    Running it again tells nothing again. `now` is everybody's clock.
    """
    look_alone(tenant_id)
    version = state.reading()
    tenant = Tenant.objects.get(pk=tenant_id)
    at = clock.at(tenant, now)
    guards = {guard.pk: guard for guard in guards_in_force(tenant_id)}
    judged: dict[Pair, Judged] = {}
    if guards:
        slices = current_slices(tenant, now=at, customer_ids=customer_ids)
        known = Known(slices.rows, tags_of(tenant_id, customer_ids))
        judged = judge(map(stored_rule, guards.values()), known)
    before = _states(tenant_id, customer_ids)
    crossings = _settled(tenant_id, guards, judged, before, at)
    tell(tenant_id, crossings, now=at)
    _count(tenant_id, judged, at)
    _publish_after_commit(tenant_id, guards, judged, {pair[1] for pair in before}, version)
    return len(crossings)


def _states(tenant_id: UUID, customer_ids: Collection[UUID] | None) -> dict[Pair, MarginState]:
    rows = MarginState.objects.for_tenant(tenant_id).select_related("guard__unit")
    if customer_ids is not None:
        rows = rows.filter(customer_id__in=customer_ids)
    return {(row.guard_id, row.customer_id): row for row in rows}


def _settled(
    tenant_id: UUID,
    guards: Mapping[UUID, MarginGuard],
    judged: Mapping[Pair, Judged],
    before: Mapping[Pair, MarginState],
    now: datetime,
) -> list[Crossing]:
    """Keep where everybody stands who is or was held; those whose level has changed.

    Whoever was never held has no row: most customers, and no statement, each time. A row whose
    numbers stand is not written.
    """
    crossings: list[Crossing] = []
    new: list[MarginState] = []
    changed: list[MarginState] = []
    for pair, one in judged.items():
        row = before.get(pair)
        if row is None and one.level.rank == 0:
            continue
        crossing = Crossing.of(guards[pair[0]], pair[1], row, one)
        if crossing.is_change:
            crossings.append(crossing)
        elif row is not None and crossing.says_what(row):
            continue
        (new if row is None else changed).append(crossing.stored(tenant_id, row, now=now))
    for pair, row in before.items():
        if pair not in judged and row.level != "NONE":
            crossing = Crossing.released(row)
            crossings.append(crossing)
            changed.append(crossing.stored(tenant_id, row, now=now))
    MarginState.objects.bulk_create(new)
    MarginState.objects.bulk_update(changed, _KEPT, batch_size=1000)  # any tenant: its own rows
    return crossings


def _count(tenant_id: UUID, judged: Mapping[Pair, Judged], now: datetime) -> None:
    """A plain yes is counted, whatever else is kept of it."""
    plain: defaultdict[UUID, int] = defaultdict(int)
    for (guard_id, _), one in judged.items():
        plain[guard_id] += one.level.rank == 0
    rows = [
        GuardCount(tenant_id=tenant_id, guard_id=guard_id, day=now.date(), plain=count)
        for guard_id, count in sorted(plain.items())
        if count
    ]
    if rows:
        columns = zip(*((r.pk, tenant_id, r.guard_id, r.day, r.plain) for r in rows), strict=True)
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [list(column) for column in columns])


def _publish_after_commit(
    tenant_id: UUID,
    guards: Mapping[UUID, MarginGuard],
    judged: Mapping[Pair, Judged],
    once_held: Collection[UUID],
    version: Version,
) -> None:
    """What guards say of each customer goes to Redis: of those whom they let go, too."""
    customer_ids = {customer_id for _, customer_id in judged} | set(once_held)
    if not customer_ids:
        return
    rows = Customer.objects.for_tenant(tenant_id).filter(pk__in=customer_ids)
    names = dict(rows.values_list("pk", "external_id"))
    answers = answers_of(guards, judged, names)
    transaction.on_commit(lambda: _put(tenant_id, answers, version), robust=True)


def _put(tenant_id: UUID, answers: Mapping[str, state.MarginState], version: Version) -> None:
    names = sorted(answers)
    try:
        for start in range(0, len(names), STATES_AT_A_TIME):
            page = {name: answers[name] for name in names[start : start + STATES_AT_A_TIME]}
            refused = state.put_margin(tenant_id, page, version=version)
            if refused:
                _insist(tenant_id, refused, page)
    except RedisError as error:
        log.warning("margins_not_published", tenant=str(tenant_id), error=str(error))  # Beat does


def _insist(
    tenant_id: UUID, refused: Sequence[state.Refusal], answers: Mapping[str, state.MarginState]
) -> None:
    """Read again: a later look may have been faster, or PostgreSQL began anew with an older start.

    What it knows now takes the place of the versions found, unless they change meanwhile.
    """
    version = state.reading()
    stored = stored_answers(tenant_id, {one.customer for one in refused})
    fields = {}
    for one in refused:
        answer = stored.get(one.customer)
        if answer is None:  # never held: it may pass, whatever was found then
            said = answers[one.customer]
            answer = said if said.level == UNHELD.level and not said.by_metric else UNHELD
        fields[one.customer] = [
            Field(state.MARGIN, version, msgspec.json.encode(answer), one.version)
        ]
    state.put(tenant_id, fields)
