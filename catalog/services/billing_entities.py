"""Billing entities: who invoices, in which currency and time zone."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import BillingEntity
from catalog.selectors.current import default_entity
from catalog.services import changes

EDITABLE = frozenset(
    {
        "display_name",
        "legal_name",
        "time_zone",
        "country",
        "address",
        "tax_number",
        "invoice_prefix",
        "payment_terms_days",
    }
)
_SHOWN = EDITABLE | {"code", "currency", "is_default"}


@transaction.atomic
def create_default_entity(*, tenant: Tenant, actor: Actor, now: datetime) -> BillingEntity:
    """The default entity of `tenant`: the one it has, or a first one with its name and currency."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)  # two firsts would collide
    existing = default_entity(tenant)
    if existing is not None:
        return existing
    return create_entity(
        tenant=tenant,
        actor=actor,
        now=now,
        code="MAIN",
        display_name=tenant.name,
        currency=tenant.currency,
        time_zone=tenant.time_zone,
        country=tenant.country,
        is_default=True,
    )


@transaction.atomic
def create_entity(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    code: str,
    display_name: str,
    currency: str,
    legal_name: str = "",
    time_zone: str = "UTC",
    country: str = "",
    address: str = "",
    tax_number: str = "",
    invoice_prefix: str = "INV",
    payment_terms_days: int = 14,
    is_default: bool = False,
) -> BillingEntity:
    """A new billing entity; its code and currency stay as they are for good."""
    entity = BillingEntity(
        tenant=tenant,
        code=code,
        display_name=display_name,
        legal_name=legal_name or display_name,
        currency=currency,
        time_zone=time_zone,
        country=country,
        address=address,
        tax_number=tax_number,
        invoice_prefix=invoice_prefix,
        payment_terms_days=payment_terms_days,
        is_default=is_default,
        created_at=now,
    )
    _require_sound(entity)
    taken = f"there is a billing entity '{code}' already"
    with changes.conflict_when("billing_entity_code_is_taken_once", taken):
        entity.save(force_insert=True)
    changes.record(
        entity,
        action="BILLING_ENTITY_CREATED",
        actor=actor,
        now=now,
        after=changes.state_of(entity, _SHOWN),
    )
    return entity


@transaction.atomic
def edit_entity(
    *, entity: BillingEntity, edits: Mapping[str, object], actor: Actor, now: datetime
) -> BillingEntity:
    """Change some of `EDITABLE`. Another time zone moves no period that is stored already."""
    rows = BillingEntity.objects.for_tenant(entity.tenant_id).select_for_update()
    locked: BillingEntity = rows.get(pk=entity.pk)
    if "time_zone" in edits:
        changes.require_zone(str(edits["time_zone"]))
    changes.edit(
        locked,
        edits,
        editable=EDITABLE,
        action="BILLING_ENTITY_UPDATED",
        actor=actor,
        now=now,
    )
    return locked


def _require_sound(entity: BillingEntity) -> None:
    changes.require_valid(entity)
    changes.require_currency(entity.currency)
    changes.require_zone(entity.time_zone)
