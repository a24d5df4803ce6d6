"""The table of tax rates: it grows at its end, and what invoices were made by stays."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q

from aforo.countries import is_country
from aforo.errors import Conflict, Refused
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant, TenantQuerySet
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing.models import Invoice, TaxRate
from catalog.services.changes import require_valid, state_of

EDITABLE = frozenset({"percent", "valid_from", "valid_until"})
_KEY = ("name", "country", "region", "tax_code")
_SHOWN = (*_KEY, "percent", "valid_from", "valid_until")
_IN_USE = "TAX_RATE_IN_USE"


def tax_rates(*, tenant: Tenant) -> TenantQuerySet:
    """The rates of a tenant by place, kind of product and time."""
    return TaxRate.objects.for_tenant(tenant)


@transaction.atomic
def add_rate(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    name: str,
    country: str,
    percent: Decimal,
    region: str = "",
    tax_code: str = "",
    valid_from: date | None = None,
    valid_until: date | None = None,
) -> TaxRate:
    """A new rate; from its first day on it takes the place of one of the same name without an end.

    Raises Conflict when it overlaps another, or would begin before today in the place of one.
    """
    _lock(tenant)
    rate = TaxRate(
        tenant=tenant,
        name=name.strip(),
        country=country.upper(),
        region=region.strip(),
        tax_code=tax_code.strip(),
        percent=percent,
        valid_from=valid_from,
        valid_until=valid_until,
        created_at=now,
    )
    _require_sound(rate)
    _end_predecessor(rate, actor, now)
    _require_alone(rate)
    rate.save(force_insert=True)
    _note(rate, "TAX_RATE_ADDED", actor, now, before={}, after=state_of(rate, _SHOWN))
    return rate


@transaction.atomic
def change_rate(
    *, rate: TaxRate, edits: Mapping[str, object], actor: Actor, now: datetime
) -> TaxRate:
    """Change some of `EDITABLE`; of a rate that invoices were made by only its end, from today on.

    Raises Conflict for the rest, or when the rate would overlap another.
    """
    _lock(rate.tenant)
    locked: TaxRate = TaxRate.objects.for_tenant(rate.tenant_id).get(pk=rate.pk)
    before = state_of(locked, _SHOWN)
    for field in EDITABLE & edits.keys():
        setattr(locked, field, edits[field])
    after = state_of(locked, _SHOWN)
    if after == before:
        return locked
    _require_sound(locked)
    _require_changeable(before, locked, now)
    _require_alone(locked)
    locked.save(update_fields=sorted(EDITABLE))
    _note(locked, "TAX_RATE_CHANGED", actor, now, before=before, after=after)
    return locked


@transaction.atomic
def remove_rate(*, rate: TaxRate, actor: Actor, now: datetime) -> None:
    """Remove a rate that no invoice can have been made by; Conflict for others."""
    _lock(rate.tenant)
    if _may_be_used(rate, rate.valid_from, now):
        raise Conflict(f"invoices were made by '{rate}': let it end instead", code=_IN_USE)
    before = state_of(rate, _SHOWN)
    _note(rate, "TAX_RATE_REMOVED", actor, now, before=before, after=dict.fromkeys(before))
    rate.delete()


def _lock(tenant: Tenant) -> None:
    """One change of the table at a time: what overlaps is looked for, not constrained."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)


def _require_sound(rate: TaxRate) -> None:
    require_valid(rate)
    if not is_country(rate.country):
        raise _refused("country", "is a code of two letters, such as DE")
    if not rate.percent.is_finite() or rate.percent < 0:
        raise _refused("percent", "is not below zero")
    begins, ends = rate.valid_from, rate.valid_until
    if begins is not None and ends is not None and ends <= begins:
        raise _refused("valid_until", "is after validFrom: it is the first day without the rate")


def _end_predecessor(rate: TaxRate, actor: Actor, now: datetime) -> None:
    if rate.valid_from is None:
        return
    before_it = Q(valid_from=None) | Q(valid_from__lt=rate.valid_from)
    found: TaxRate | None = _same_tax(rate).filter(before_it, valid_until=None).first()
    if found is None:
        return
    if rate.valid_from < now.date() and _may_be_used(found, found.valid_from, now):
        raise Conflict(
            f"'{found}' was in force until today: another rate begins today or later", code=_IN_USE
        )
    found.valid_until = rate.valid_from
    found.save(update_fields=["valid_until"])
    after = {"valid_until": rate.valid_from}
    _note(found, "TAX_RATE_CHANGED", actor, now, before={"valid_until": None}, after=after)


def _require_changeable(before: Mapping[str, object], rate: TaxRate, now: datetime) -> None:
    begun = before["valid_from"]
    if not _may_be_used(rate, begun if isinstance(begun, date) else None, now):
        return
    if before["percent"] != rate.percent or begun != rate.valid_from:
        raise Conflict(
            f"invoices were made by '{rate}': add another rate from a day on", code=_IN_USE
        )
    ends = (before["valid_until"], rate.valid_until)
    if any(isinstance(end, date) and end < now.date() for end in ends):
        raise Conflict("the end of a rate is not moved from or into the past", code=_IN_USE)


def _may_be_used(rate: TaxRate, valid_from: date | None, now: datetime) -> bool:
    """Whether it has begun, and an invoice was made since it is in the table."""
    if valid_from is not None and valid_from > now.date():
        return False
    invoices = Invoice.objects.for_tenant(rate.tenant_id)
    return bool(invoices.filter(created_at__gte=rate.created_at).exists())


def _require_alone(rate: TaxRate) -> None:
    """No moment has two rates of one tax."""
    others = _same_tax(rate).exclude(pk=rate.pk)
    if rate.valid_from is not None:
        others = others.filter(Q(valid_until=None) | Q(valid_until__gt=rate.valid_from))
    if rate.valid_until is not None:
        others = others.filter(Q(valid_from=None) | Q(valid_from__lt=rate.valid_until))
    if others.exists():
        raise Conflict(f"'{others[0]}' is in force at the same time", code="TAX_RATE_OVERLAPS")


def _same_tax(rate: TaxRate) -> TenantQuerySet:
    key = {name: getattr(rate, name) for name in _KEY}
    return TaxRate.objects.for_tenant(rate.tenant_id).filter(**key)


def _refused(field: str, reason: str) -> Refused:
    return Refused.naming(on_the_wire(field), "INVALID", reason)


def _note(
    rate: TaxRate,
    action: str,
    actor: Actor,
    now: datetime,
    *,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> None:
    audit.record(
        tenant=rate.tenant_id,
        actor=actor,
        action=action,
        target=rate,
        now=now,
        changes=audit.differences(before, after),
    )
