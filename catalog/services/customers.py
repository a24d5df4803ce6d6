"""Customers and the other names that events know them by."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from aforo.errors import Conflict
from aforo.ids import new_id
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog import aliases
from catalog.models import Customer, CustomerAlias, Subscription
from catalog.services import changes, families
from catalog.tax_numbers import checked_tax_number

EDITABLE = frozenset(
    {
        "name",
        "email",
        "account_manager_email",
        "currency",
        "country",
        "region",
        "address",
        "tax_number",
        "tax_exempt",
        "language",
        "parent",
    }
)
_SHOWN = EDITABLE | {"external_id"}
_LONGEST_NAME = 1000


@transaction.atomic
def create_customer(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    external_id: str = "",
    name: str = "",
    email: str = "",
    account_manager_email: str = "",
    currency: str = "",
    country: str = "",
    address: str = "",
    region: str = "",
    tax_number: str = "",
    tax_exempt: bool = False,
    language: str = "en",
    parent: Customer | None = None,
) -> Customer:
    """A new customer. Without an `external_id` it is known by its own id.

    A `parent` is invoiced for it as well.
    """
    customer_id = new_id()
    customer = Customer(
        id=customer_id,
        tenant=tenant,
        external_id=external_id or str(customer_id),
        name=name,
        email=email,
        account_manager_email=account_manager_email,
        currency=currency,
        country=country,
        address=address,
        region=region,
        tax_number=checked_tax_number(country, tax_number),
        tax_exempt=tax_exempt,
        language=language,
        parent=parent,
        created_at=now,
    )
    if parent is not None:
        families.lock(tenant.pk)
        families.require_parent(customer, parent)
    _require_sound(customer)
    _require_no_alias(customer)
    _store(customer)
    after = changes.state_of(customer, _SHOWN)
    changes.record(customer, action="CUSTOMER_CREATED", actor=actor, now=now, after=after)
    return customer


@transaction.atomic
def edit_customer(
    *, customer: Customer, edits: Mapping[str, object], actor: Actor, now: datetime
) -> Customer:
    """Change some of `EDITABLE`; issued invoices keep what they show."""
    if edits.get("parent") or edits.get("currency"):
        families.lock(customer.tenant_id)
    locked = _locked(customer)
    if edits.get("currency"):
        changes.require_currency(str(edits["currency"]))
        families.require_currency(locked, str(edits["currency"]))
    parent = edits.get("parent")
    if isinstance(parent, Customer):
        families.require_parent(locked, parent, currency=str(edits.get("currency", "")))
    changes.require_country(edits.get("country"))
    edits = _with_checked_number(locked, edits)
    changes.edit(locked, edits, editable=EDITABLE, action="CUSTOMER_UPDATED", actor=actor, now=now)
    return locked


@transaction.atomic
def archive_customer(*, customer: Customer, actor: Actor, now: datetime) -> Customer:
    """Hide a customer who has no running subscription; their past usage stays theirs."""
    locked = _locked(customer)
    if locked.archived_at is not None:
        return locked
    running = Subscription.objects.for_tenant(customer.tenant_id).filter(customer=locked)
    if running.exclude(state__in=Subscription.OVER).exists():
        raise Conflict(f"customer '{locked}' has active subscriptions: cancel them first")
    locked.archived_at = now
    locked.save(update_fields=["archived_at"])
    after = {"archived_at": now}
    changes.record(locked, action="CUSTOMER_ARCHIVED", actor=actor, now=now, after=after)
    return locked


@transaction.atomic
def add_alias(
    *,
    customer: Customer,
    value: str,
    actor: Actor,
    now: datetime,
    kind: str = CustomerAlias.Kind.SUBJECT,
) -> CustomerAlias:
    """Let events that name `value` count for `customer`; the same once more changes nothing.

    The value itself is stored only where it cannot be a secret. Events that were counted before
    stay as they are.
    """
    _require_alias(value, kind)
    digest = aliases.digest_of(customer.tenant_id, value)
    rows = CustomerAlias.objects.for_tenant(customer.tenant_id)
    existing: CustomerAlias | None = rows.filter(customer=customer, digest=digest).first()
    if existing is not None:
        return existing
    _require_no_customer(customer, value)
    alias = CustomerAlias(
        tenant_id=customer.tenant_id,
        customer=customer,
        kind=kind,
        label="" if kind in CustomerAlias.CREDENTIALS or aliases.is_secret(value) else value[:200],
        digest=digest,
        created_at=now,
    )
    taken = "this alias names another customer"
    with changes.conflict_when("alias_names_one_customer", taken, field="value"):
        alias.save(force_insert=True)
    after = {"customer": customer.external_id, "kind": kind, "label": str(alias)}
    changes.record(alias, action="CUSTOMER_ALIAS_ADDED", actor=actor, now=now, after=after)
    return alias


@transaction.atomic
def remove_alias(*, alias: CustomerAlias, actor: Actor, now: datetime) -> None:
    """Let events that name this alias count no more, from now on."""
    before = {"customer": alias.customer.external_id, "kind": alias.kind, "label": str(alias)}
    after = dict.fromkeys(before)
    changes.record(
        alias, action="CUSTOMER_ALIAS_REMOVED", actor=actor, now=now, before=before, after=after
    )
    alias.delete()


def _store(customer: Customer) -> None:
    taken = f"there is a customer '{customer.external_id}' already"
    with changes.conflict_when("customer_is_known_by_one_external_id", taken, field="externalId"):
        customer.save(force_insert=True)


def _locked(customer: Customer) -> Customer:
    rows = Customer.objects.for_tenant(customer.tenant_id).select_for_update()
    locked: Customer = rows.get(pk=customer.pk)
    return locked


def _with_checked_number(locked: Customer, edits: Mapping[str, object]) -> Mapping[str, object]:
    """`edits` with the tax number as its country spells it: another country judges it anew."""
    if not edits.keys() & {"country", "tax_number"}:
        return edits
    country = str(edits.get("country", locked.country))
    number = checked_tax_number(country, str(edits.get("tax_number", locked.tax_number)))
    return {**edits, "tax_number": number}


def _require_sound(customer: Customer) -> None:
    changes.require_valid(customer)
    changes.require_country(customer.country)
    _require_writable("externalId", customer.external_id)
    if aliases.is_secret(customer.external_id):
        raise changes.refused("externalId", "SECRET", "looks like a key: add it as an alias")
    if customer.currency:
        changes.require_currency(customer.currency)


def _require_no_alias(customer: Customer) -> None:
    digest = aliases.digest_of(customer.tenant_id, customer.external_id)
    if CustomerAlias.objects.for_tenant(customer.tenant_id).filter(digest=digest).exists():
        raise Conflict(f"'{customer.external_id}' is an alias of another customer")


def _require_alias(value: str, kind: str) -> None:
    if kind not in CustomerAlias.Kind:
        known = ", ".join(CustomerAlias.Kind)
        raise changes.refused("kind", "INVALID", f"must be one of {known}")
    if not 0 < len(value) <= _LONGEST_NAME:
        raise changes.refused("value", "INVALID", f"has 1 to {_LONGEST_NAME} characters")
    _require_writable("value", value)


def _require_writable(field: str, value: str) -> None:
    if "\0" in value:
        raise changes.refused(field, "INVALID", "contains a nul character")
    if value.startswith(aliases.STAND_IN_PREFIX):
        raise changes.refused(field, "RESERVED", f"'{aliases.STAND_IN_PREFIX}' marks hashed names")


def _require_no_customer(customer: Customer, value: str) -> None:
    others = Customer.objects.for_tenant(customer.tenant_id).exclude(pk=customer.pk)
    if others.filter(external_id=value).exists():
        raise Conflict("this alias is the external id of another customer")
