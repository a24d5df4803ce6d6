"""Guards from a YAML file: those that it names are made or changed, all of them or none."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import transaction

from aforo.errors import Refused, Unreadable
from aforo.tenancy.models import Tenant, TenantQuerySet
from aforo.tenancy.services.actors import Actor
from catalog.models import BillableUnit, Customer, RatePlan
from metering.models import MarginChannel, MarginGuard
from metering.services.guards import EDITABLE, create_guard, edit_guard
from metering.services.look_alone import look_alone

Number = str | int | float  # as YAML reads `25%`, 25 and 2.5; none of them is money
_PERCENT = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*%?\s*")
_PER_SECOND = re.compile(r"\s*(\d+(?:\.\d+)?)\s*req(?:uests)?/s(?:ec(?:ond)?)?\s*")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class LevelInFile(_Strict, frozen=True):
    """One level; `action` is what gateways do in any case."""

    threshold: Number | None = None
    throttle_rate: Number | None = None
    notify: list[str] = []
    action: str = ""


class ActionsInFile(_Strict, frozen=True):
    level_1: LevelInFile | None = None
    level_2: LevelInFile | None = None
    level_3: LevelInFile | None = None


class GuardInFile(_Strict, frozen=True):
    """One guard; plans and customers by name and external id."""

    id: str
    name: str = ""
    metric: str | None = None
    min_margin: Number | None = None
    actions: ActionsInFile = ActionsInFile()
    scope: str = "ALL"
    plan: str | None = None
    customer: str | None = None
    cohort: str = ""
    cohort_value: str = ""
    mode: str = "ENFORCE"
    cost_floor: Number | None = None
    retry_after: int | None = None
    active: bool = True
    floors: dict[str, Number] = {}


class GuardFile(_Strict, frozen=True):
    guards: list[GuardInFile]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one guard of a file, and what of it cannot be done here."""

    code: str
    outcome: str  # created, changed, unchanged
    notes: tuple[str, ...]


def apply_file(
    *, tenant: Tenant, body: bytes, actor: Actor, now: datetime, dry_run: bool = False
) -> list[Applied]:
    """Make or change every guard that a file names; others are left alone.

    All of them or none; with `dry_run` none. Raises Unreadable for what is no such file, Refused
    or NotFound for a guard that cannot be.
    """
    try:
        said = msgspec.yaml.decode(body, type=GuardFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"this is no file of guards: {error}") from error
    with transaction.atomic():
        look_alone(tenant.pk)  # before any row, as whoever edits a guard
        applied = [_applied(tenant, one, actor=actor, now=now) for one in said.guards]
        if dry_run:
            transaction.set_rollback(True)
    return applied


def _applied(tenant: Tenant, said: GuardInFile, *, actor: Actor, now: datetime) -> Applied:
    fields = _fields(tenant, said)
    floors = {_plan(tenant, said, name): _percent(said, n) for name, n in said.floors.items()}
    notes = tuple(_notes(said))
    rows = MarginGuard.objects.for_tenant(tenant).filter(code=said.id, archived_at=None)
    guard: MarginGuard | None = rows.first()
    if guard is None:
        made = MarginGuard(tenant=tenant, **fields)
        create_guard(guard=made, floors=floors, actor=actor, now=now)
        return Applied(said.id, "created", notes)
    before = _state(guard)
    changed = edit_guard(guard=guard, edits=fields, floors=floors, actor=actor, now=now)
    changed.refresh_from_db()
    return Applied(said.id, "unchanged" if _state(changed) == before else "changed", notes)


def _state(guard: MarginGuard) -> dict[str, object]:
    own = {name: getattr(guard, name) for name in EDITABLE}
    rows = guard.floors.order_by("rate_plan_id")
    return own | {"floors": list(rows.values_list("rate_plan_id", "percent"))}


def _fields(tenant: Tenant, said: GuardInFile) -> dict[str, Any]:
    """The columns of a guard; what the file leaves out is the default."""
    one, two, three = said.actions.level_1, said.actions.level_2, said.actions.level_3
    warn = one.threshold if one and one.threshold is not None else said.min_margin
    told: dict[str, Number | None] = {
        "warn_below": warn,
        "throttle_below": two.threshold if two else None,
        "block_below": three.threshold if three else None,
        "throttle_rate": _share(said, two) if two and not _rate(two) else None,
        "cost_floor": said.cost_floor,
    }
    default = MarginGuard()
    fields: dict[str, Any] = {
        name: getattr(default, name) if value is None else _percent(said, value)
        for name, value in told.items()
    }
    fields["throttle_rate"] = int(fields["throttle_rate"])
    units = BillableUnit.objects.for_tenant(tenant)
    customers = Customer.objects.for_tenant(tenant)
    return fields | {
        "requests_per_second": two and _rate(two),
        "warn_channels": _notified(said, "level_1", one),
        "throttle_channels": _notified(said, "level_2", two),
        "block_channels": _notified(said, "level_3", three),
        "code": said.id,
        "name": said.name,
        "unit": _named(units, said, "metric", name=said.metric),
        "scope": said.scope,
        "rate_plan": None if said.plan is None else _plan(tenant, said, said.plan),
        "customer": _named(customers, said, "customer", external_id=said.customer),
        "cohort": said.cohort,
        "cohort_value": said.cohort_value,
        "mode": said.mode,
        "retry_after": default.retry_after if said.retry_after is None else said.retry_after,
        "is_active": said.active,
    }


def _notes(said: GuardInFile) -> Iterator[str]:
    """What whoever wrote the file may not expect."""
    if said.actions.level_2 and _rate(said.actions.level_2):
        yield "throttle_rate: gateways that know percentages alone let everything pass, marked"
    if said.min_margin is not None and said.actions.level_1 is not None:
        yield "min_margin: level_1 says when to warn"


def _share(said: GuardInFile, level: LevelInFile) -> Number | None:
    rate = level.throttle_rate
    if rate is not None and not _PERCENT.fullmatch(str(rate)):
        reason = f"guard {said.id!r}: {rate!r} is no percentage and no rate such as 5req/sec"
        raise Refused.naming("actions.level_2.throttle_rate", "INVALID", reason)
    return rate


def _rate(level: LevelInFile) -> Decimal | None:
    """How many requests a second may pass, where a level says so and no share."""
    match = _PER_SECOND.fullmatch(str(level.throttle_rate))
    return Decimal(match[1]) if match else None


def _notified(said: GuardInFile, name: str, level: LevelInFile | None) -> list[str]:
    channels = [channel.upper() for channel in level.notify] if level else []
    for channel in channels:
        if channel not in MarginChannel.values:
            known = ", ".join(MarginChannel.values).lower()
            reason = f"guard {said.id!r}: {channel.lower()!r} is no channel ({known})"
            raise Refused.naming(f"actions.{name}.notify", "INVALID", reason)
    return sorted(set(channels))


def _percent(said: GuardInFile, value: Number) -> Decimal:
    match = _PERCENT.fullmatch(str(value))
    if match is None:
        raise Refused(f"guard {said.id!r}: {value!r} is no number or percentage")
    return Decimal(match[1])


def _plan(tenant: Tenant, said: GuardInFile, name: str) -> RatePlan:
    plan: RatePlan = _named(RatePlan.objects.for_tenant(tenant), said, "plan", name=name)
    return plan


def _named(rows: TenantQuerySet, said: GuardInFile, what: str, **named: str | None) -> Any:
    if None in named.values():
        return None
    row = rows.filter(**named).first()
    if row is None:
        raise Refused(f"guard {said.id!r}: there is no {what} {next(iter(named.values()))!r}")
    return row
