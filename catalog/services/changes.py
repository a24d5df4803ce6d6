"""What every change of the catalog has in common: checked, audited, and made known to caches."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from uuid import UUID
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from psycopg import errors

from aforo.countries import is_country
from aforo.errors import Conflict, FieldError, NotFound, Refused
from aforo.money import minor_units
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant, TenantOwned
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.tenants import bump_catalog
from catalog.models import BillableUnit, Product, RatePlan
from catalog.services.telling import tell_of


def record(
    row: TenantOwned,
    *,
    action: str,
    actor: Actor,
    now: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    reason: str = "",
) -> None:
    """Note `action` on `row` in the audit log, and that prices may have changed."""
    changes = audit.differences(before or {}, after or {})
    audit.record(
        tenant=row.tenant_id,
        actor=actor,
        action=action,
        target=row,
        now=now,
        changes=changes,
        reason=reason,
    )
    bump_catalog(row.tenant_id)
    tell_of(row)


@contextmanager
def recorded(
    row: TenantOwned,
    shown: Callable[[], Mapping[str, object]],
    *,
    action: str,
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> Iterator[None]:
    """Note on a locked row what is done inside: what `shown` says before it, and after."""
    before = shown()
    yield
    record(row, action=action, actor=actor, now=now, before=before, after=shown(), reason=reason)


def state_of(row: TenantOwned, fields: Collection[str]) -> dict[str, object]:
    """The values of some fields of `row`, as the audit log compares them."""
    return {field: getattr(row, field) for field in fields}


def edit(
    row: TenantOwned,
    changes: Mapping[str, object],
    *,
    editable: Collection[str],
    action: str,
    actor: Actor,
    now: datetime,
) -> bool:
    """Set some of the `editable` fields of a locked row; false when nothing differs.

    Raises Refused for a field that is not editable or a value it cannot hold.
    """
    fixed = sorted(changes.keys() - set(editable))
    if fixed:
        raise refused(on_the_wire(fixed[0]), "IMMUTABLE", "cannot be changed")
    before = state_of(row, changes)
    differing = [field for field, value in changes.items() if before[field] != value]
    if not differing:
        return False
    for field in differing:
        setattr(row, field, changes[field])
    require_valid(row)
    row.save(update_fields=differing)
    record(row, action=action, actor=actor, now=now, before=before, after=changes)
    return True


@contextmanager
def conflict_when(constraint: str, detail: str, *, field: str) -> Iterator[None]:
    """Raise Conflict with `detail` when the unique `constraint` refuses what is done inside.

    `field` is what is taken, named as on the wire.

    The database decides, so that of two who come at once one is told.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        cause = error.__cause__
        if isinstance(cause, errors.UniqueViolation) and cause.diag.constraint_name == constraint:
            taken = FieldError(field, "TAKEN", detail)
            raise Conflict(detail, errors=(taken,)) from error
        raise


def require_valid(row: TenantOwned) -> None:
    """Refuse values that the columns of `row` cannot hold, naming each field."""
    columns = row._meta.concrete_fields  # noqa: SLF001 - Django's public API in spite of its name
    relations = {column.name for column in columns if column.is_relation}
    try:
        row.clean_fields(exclude=relations)  # foreign keys are the database's to check
    except ValidationError as error:
        faults = tuple(
            FieldError(on_the_wire(field), (first.code or "invalid").upper(), first.messages[0])
            for field, (first, *_) in error.error_dict.items()
        )
        detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        raise Refused(detail, errors=faults) from error


def require_own(tenant: Tenant | UUID, *rows: TenantOwned) -> None:
    """NotFound when one of `rows` belongs to another tenant, as if it were not there."""
    tenant_id = tenant.pk if isinstance(tenant, Tenant) else tenant
    for row in rows:
        if row.tenant_id != tenant_id:
            name = row._meta.verbose_name  # noqa: SLF001 - Django's public API
            raise NotFound(f"there is no {name} with id {row.pk}")


def set_products(
    row: BillableUnit | RatePlan,
    products: Collection[Product],
    *,
    action: str,
    actor: Actor,
    now: datetime,
) -> None:
    """Say anew which products a locked row belongs to."""
    require_own(row.tenant_id, *products)
    before = {"products": _product_names(row)}
    row.products.set(products)
    after = {"products": _product_names(row)}
    if before != after:
        record(row, action=action, actor=actor, now=now, before=before, after=after)


def require_currency(currency: str) -> None:
    """Refuse what is no ISO 4217 currency with a minor unit."""
    try:
        minor_units(currency)
    except ValueError:
        raise refused("currency", "INVALID", f"no currency '{currency}'") from None


def require_country(country: object) -> None:
    """Refuse what is no country of ISO 3166; none is fine."""
    if country and not is_country(str(country)):
        raise refused("country", "INVALID", f"no country '{country}': two letters, such as DE")


def require_zone(time_zone: str) -> None:
    """Refuse a time zone that the IANA database does not know."""
    if time_zone not in _zones():
        raise refused("timeZone", "INVALID", f"no time zone '{time_zone}'")


def refused(field: str, code: str, reason: str) -> Refused:
    """A refusal because of one field, named as on the wire."""
    return Refused.naming(field, code, reason)


def _product_names(row: BillableUnit | RatePlan) -> list[str]:
    return sorted(product.name for product in row.products.all())


@cache
def _zones() -> frozenset[str]:
    """Reading their names opens six hundred files: once per process."""
    return frozenset(available_timezones())
