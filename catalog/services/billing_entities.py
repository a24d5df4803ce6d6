"""Billing entities: who invoices, in which currency and time zone, with which taxes and looks."""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from aforo.outward import NotSendable, require_sendable
from aforo.sealing import seal, unseal
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import BillingEntity
from catalog.selectors.current import default_entity
from catalog.services import changes

EDITABLE = (
    "display_name",
    "legal_name",
    "time_zone",
    "country",
    "region",
    "address",
    "tax_number",
    "tax_engine",
    "tax_url",
    "tax_inclusive",
    "invoice_prefix",
    "payment_terms_days",
    "grace_days",
    "accent_color",
    "footer",
)
"""What may be changed of an entity, in the order in which it is shown."""
LARGEST_LOGO = 200_000  # bytes, in each PDF of its invoices
_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"<svg", b"<?xml")
_PURPOSE = "tax engine secret"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_SHOWN = ("code", "currency", *EDITABLE, "is_default")


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
    **more: object,
) -> BillingEntity:
    """A new billing entity; its code and currency stay as they are for good.

    `more` are others of `EDITABLE`.
    """
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
        **more,
    )
    _require_sound(entity)
    taken = f"there is a billing entity '{code}' already"
    with changes.conflict_when("billing_entity_code_is_taken_once", taken, field="code"):
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
    changes.edit(
        locked,
        edits,
        editable=EDITABLE,
        action="BILLING_ENTITY_UPDATED",
        actor=actor,
        now=now,
    )
    _require_sound(locked)  # as a whole: what one field may be depends on others
    return locked


@transaction.atomic
def set_logo(
    *, entity: BillingEntity, picture: bytes, actor: Actor, now: datetime
) -> BillingEntity:
    """The picture on its papers: PNG, JPEG or SVG; an empty one takes it away."""
    if len(picture) > LARGEST_LOGO:
        raise changes.refused("logo", "TOO_LARGE", f"has at most {LARGEST_LOGO // 1000} kB")
    if picture and not picture.lstrip().startswith(_PICTURES):
        raise changes.refused("logo", "INVALID", "is a PNG, a JPEG or an SVG")
    rows = BillingEntity.objects.for_tenant(entity.tenant_id).select_for_update()
    locked: BillingEntity = rows.get(pk=entity.pk)
    before = {"logo": len(locked.logo or b"")}
    locked.logo = picture or None
    locked.save(update_fields=["logo"])
    after = {"logo": len(picture)}
    changes.record(
        locked, action="BILLING_ENTITY_UPDATED", actor=actor, now=now, before=before, after=after
    )
    return locked


@transaction.atomic
def rotate_tax_secret(*, entity: BillingEntity, actor: Actor, now: datetime) -> str:
    """Another secret that questions to the tax engine are signed with; shown this once."""
    rows = BillingEntity.objects.for_tenant(entity.tenant_id).select_for_update()
    locked: BillingEntity = rows.get(pk=entity.pk)
    secret = f"taxsec_{secrets.token_urlsafe(32)}"
    locked.tax_secret = seal(secret.encode(), purpose=_PURPOSE, row=str(locked.pk))
    locked.save(update_fields=["tax_secret"])
    changes.record(locked, action="TAX_SECRET_ROTATED", actor=actor, now=now)
    return secret


def tax_secret_of(entity: BillingEntity) -> bytes:
    """What questions to its tax engine are signed with; empty when there is none.

    Raises Unsealable after a change of SECRET_KEY.
    """
    if entity.tax_secret is None:
        return b""
    return unseal(bytes(entity.tax_secret), purpose=_PURPOSE, row=str(entity.pk))


def _require_sound(entity: BillingEntity) -> None:
    changes.require_valid(entity)
    changes.require_currency(entity.currency)
    changes.require_zone(entity.time_zone)
    changes.require_country(entity.country)
    if entity.accent_color and not _COLOR.fullmatch(entity.accent_color):
        raise changes.refused("accentColor", "INVALID", "is six hexadecimal digits, as #1a2b3c")
    _require_taxable(entity)


def _require_taxable(entity: BillingEntity) -> None:
    if entity.tax_engine == BillingEntity.TaxEngine.TABLE and not entity.country:
        raise changes.refused("country", "REQUIRED", "without it nobody knows where to tax")
    if entity.tax_url or entity.tax_engine == BillingEntity.TaxEngine.HTTP:
        try:
            require_sendable(entity.tax_url)
        except NotSendable as error:
            raise changes.refused("taxUrl", "INVALID", str(error)) from None
