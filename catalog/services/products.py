"""Products: what is sold, and how mature it says it is."""

import re
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from aforo.errors import Conflict
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Product, Subscription
from catalog.models.products import ProductType
from catalog.services import changes

EDITABLE = frozenset({"name", "description", "lifecycle", "status", "metadata"})
_SHOWN = EDITABLE | {"type"}
_NAME = re.compile(r"[a-zA-Z0-9\s\-_.()]+", re.ASCII)
_API_NEEDS = ("base_path", "api_version")
_Lifecycle = Product.Lifecycle
_NEXT = {
    _Lifecycle.EXPERIMENTAL: _Lifecycle.BETA,
    _Lifecycle.BETA: _Lifecycle.GA,
    _Lifecycle.GA: _Lifecycle.DEPRECATED,
    _Lifecycle.DEPRECATED: _Lifecycle.RETIRED,
}


@transaction.atomic
def create_product(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    name: str,
    type: str = ProductType.API,  # noqa: A002 - its name on the wire and in the table
    description: str = "",
    lifecycle: str = Product.Lifecycle.GA,
    status: str = Product.Status.DRAFT,
    metadata: Mapping[str, object] | None = None,
) -> Product:
    """A new product. One of type API says in its metadata where it lives, and in which version."""
    product = Product(
        tenant=tenant,
        name=name,
        type=type,
        description=description,
        lifecycle=lifecycle,
        status=status,
        metadata=dict(metadata or {}),
        created_at=now,
    )
    _require_sound(product)
    with changes.conflict_when("product_name_is_taken_once", _taken(name), field="name"):
        product.save(force_insert=True)
    changes.record(
        product,
        action="PRODUCT_CREATED",
        actor=actor,
        now=now,
        after=changes.state_of(product, _SHOWN),
    )
    return product


@transaction.atomic
def edit_product(
    *, product: Product, edits: Mapping[str, object], actor: Actor, now: datetime
) -> Product:
    """Change some of `EDITABLE`. The lifecycle moves one step at a time and never back."""
    rows = Product.objects.for_tenant(product.tenant_id).select_for_update()
    locked: Product = rows.get(pk=product.pk)
    _require_step(locked, str(edits.get("lifecycle", locked.lifecycle)))
    _require_sound(_edited_copy(locked, edits))
    taken = _taken(edits.get("name"))
    with changes.conflict_when("product_name_is_taken_once", taken, field="name"):
        changes.edit(
            locked, edits, editable=EDITABLE, action="PRODUCT_UPDATED", actor=actor, now=now
        )
    return locked


def archive_product(*, product: Product, actor: Actor, now: datetime) -> Product:
    """Take `product` off the shelf; what is subscribed goes on."""
    archived = {"status": Product.Status.ARCHIVED}
    return edit_product(product=product, edits=archived, actor=actor, now=now)


def _edited_copy(product: Product, edits: Mapping[str, object]) -> Product:
    state = changes.state_of(product, _SHOWN)
    known = {field: value for field, value in edits.items() if field in EDITABLE}
    return Product(tenant_id=product.tenant_id, created_at=product.created_at, **(state | known))


def _require_sound(product: Product) -> None:
    changes.require_valid(product)
    if not _NAME.fullmatch(product.name):
        raise changes.refused("name", "INVALID", "letters, digits, spaces and - _ . ( ) only")
    if not isinstance(product.metadata, dict):
        raise changes.refused("metadata", "INVALID", "must be an object")
    if product.type == ProductType.API:
        for key in _API_NEEDS:
            if not product.metadata.get(key):
                raise changes.refused(f"metadata.{key}", "REQUIRED", "is required for type API")


def _require_step(product: Product, lifecycle: str) -> None:
    if lifecycle == product.lifecycle:
        return
    if lifecycle != _NEXT.get(_Lifecycle(product.lifecycle)):
        raise Conflict(f"product '{product}' cannot go from {product.lifecycle} to {lifecycle}")
    if lifecycle == _Lifecycle.RETIRED and _is_subscribed(product):
        raise Conflict(f"product '{product}' has active subscriptions: migrate them first")


def _is_subscribed(product: Product) -> bool:
    active = Subscription.objects.for_tenant(product.tenant_id).filter(
        plans__version__rate_plan__products=product
    )
    return active.exclude(state__in=Subscription.OVER).exists()


def _taken(name: object) -> str:
    return f"there is a product named '{name}' already"
