"""Whether the quotas that access checks go by are those of the running totals."""

import time
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from aforo import valkey
from aforo.money import ZERO
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from catalog.models import Customer
from metering.entitlements import state
from metering.entitlements.building import Builder
from metering.entitlements.standing import use_in
from metering.entitlements.state import Field

PAGE = 500
TELLING_SECONDS = 1.0  # a drain that has committed tells Redis within so long
MOST_LOOKS = 65  # or it was killed in between, and a sync repairs what is missing by then


class Drift(NamedTuple):
    """A use in Redis that is not what the totals say; `told` None is no number at all.

    It `is_behind` where Redis holds what was right once.
    """

    customer: str
    field: str
    counted: Decimal
    told: Decimal | None
    is_behind: bool


def drifted(tenant: Tenant, *, now: datetime, most: int | None = None) -> Iterator[Drift]:
    """Uses that stand otherwise in Redis, of `most` customers by chance, or of all of them.

    Looked at again, because a drain tells what it has committed a moment later: what is behind has
    until a sync has surely passed, everything else is told then. Nothing is said of a tenant that
    no sync has written whole. RedisError when Redis is away.
    """
    if not valkey.client().hget(state.settings_key(tenant.pk), "whole"):
        return
    rows = Customer.objects.for_tenant(tenant).order_by("?" if most else "external_id")
    names = list(rows.values_list("external_id", flat=True)[:most])
    for start in range(0, len(names), PAGE):
        found = _differing(tenant, names[start : start + PAGE], now=now)
        for look in range(MOST_LOOKS):
            if not found or (look and not any(one.is_behind for one in found)):
                break
            time.sleep(TELLING_SECONDS)
            found = _still(found, _differing(tenant, {one.customer for one in found}, now=now))
        yield from found


def _still(before: Iterable[Drift], after: Iterable[Drift]) -> list[Drift]:
    """What differs as it did: where Redis was told something meanwhile, all is in motion."""
    told = {(one.customer, one.field): one.told for one in before}
    return [
        one
        for one in after
        if (one.customer, one.field) in told and told[one.customer, one.field] == one.told
    ]


def _differing(tenant: Tenant, customers: Collection[str], *, now: datetime) -> list[Drift]:
    built = Builder(tenant.pk, now=clock.at(tenant, now)).build(customers, state.reading())
    pipeline = valkey.client().pipeline(transaction=False)
    for name, one in built.items():
        pipeline.hmget(state.key_of(tenant.pk, name), ["", *one.uses])
    differing = []
    for (name, one), (_, *told) in zip(built.items(), pipeline.execute(), strict=True):
        counted = {field.name: field for field in one.fields}
        for field, value in zip(one.uses, told, strict=True):
            drift = _drift(name, field, counted.get(field), value)
            if drift.counted != drift.told:
                differing.append(drift)
    return differing


def _drift(customer: str, name: str, counted: Field | None, value: bytes | None) -> Drift:
    if counted is None:
        return Drift(customer, name, ZERO, _quantity(value), is_behind=False)
    found = (value or b"0:0").partition(b" ")[0].decode("ascii", "replace").split(":")
    is_behind = all(part.isdecimal() for part in found) and tuple(map(int, found)) < counted.version
    used = use_in(counted.value).quantity
    return Drift(customer, name, used, _quantity(value), is_behind=is_behind)


def _quantity(value: bytes | None) -> Decimal | None:
    """What a check would take it for."""
    if value is None:
        return ZERO
    try:
        return use_in(value.partition(b" ")[2]).quantity
    except (ValueError, ArithmeticError):
        return None
