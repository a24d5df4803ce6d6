"""Whether the quotas that access checks go by are those of the running totals."""

import time
from collections.abc import Collection, Iterator
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

PAGE = 500
TELLING_SECONDS = 1.0  # a drain that has committed tells Redis within so long


class Drift(NamedTuple):
    """A use in Redis that is not what the totals say; `told` None is no number at all."""

    customer: str
    field: str
    counted: Decimal
    told: Decimal | None


def drifted(tenant: Tenant, *, now: datetime, most: int | None = None) -> Iterator[Drift]:
    """Uses that stand otherwise in Redis, of `most` customers by chance, or of all of them.

    Looked at twice, because a drain tells what it has committed a moment later. Nothing is said of
    a tenant that no sync has written whole. RedisError when Redis is away.
    """
    if not valkey.client().hget(state.settings_key(tenant.pk), "whole"):
        return
    rows = Customer.objects.for_tenant(tenant).order_by("?" if most else "external_id")
    names = list(rows.values_list("external_id", flat=True)[:most])
    for start in range(0, len(names), PAGE):
        first = _differing(tenant, names[start : start + PAGE], now=now)
        if first:
            time.sleep(TELLING_SECONDS)
            again = _differing(tenant, {one.customer for one in first}, now=now)
            found = {(one.customer, one.field): one.told for one in first}
            missing = object()
            for one in again:
                if found.get((one.customer, one.field), missing) == one.told:
                    yield one


def _differing(tenant: Tenant, customers: Collection[str], *, now: datetime) -> list[Drift]:
    built = Builder(tenant.pk, now=clock.at(tenant, now)).build(customers, state.reading())
    pipeline = valkey.client().pipeline(transaction=False)
    for name, one in built.items():
        pipeline.hmget(state.key_of(tenant.pk, name), ["", *one.uses])
    differing = []
    for (name, one), (_, *told) in zip(built.items(), pipeline.execute(), strict=True):
        counted = {field.name: use_in(field.value).quantity for field in one.fields[1:]}
        for field, value in zip(one.uses, told, strict=True):
            drift = Drift(name, field, counted.get(field, ZERO), _quantity(value))
            if drift.counted != drift.told:
                differing.append(drift)
    return differing


def _quantity(value: bytes | None) -> Decimal | None:
    """What a check would take it for."""
    if value is None:
        return ZERO
    try:
        return use_in(value.partition(b" ")[2]).quantity
    except (ValueError, ArithmeticError):
        return None
