"""Parents that are invoiced for their children: one level after the other, never in a ring."""

from uuid import UUID

from aforo.tenancy.models import Tenant
from catalog.models import Customer, Subscription
from catalog.services import changes


def lock(tenant_id: UUID) -> None:
    """Let one at a time say who is whose parent: two could close a ring between them."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


def require_parent(customer: Customer, parent: Customer, *, currency: str = "") -> None:
    """Refuse a parent that is somebody else's, archived, below `customer`, or billed otherwise.

    One invoice has one seller and one currency, so the subscriptions of both that are not over must
    agree in them. `currency` is what the customer is about to have.
    """
    changes.require_own(customer.tenant_id, parent)
    if parent.archived_at is not None:
        raise changes.refused("parentId", "ARCHIVED", f"customer '{parent}' is archived")
    if customer.pk in _line_of(parent):
        reason = f"'{parent}' is '{customer}', or a child of it"
        raise changes.refused("parentId", "CYCLE", reason)
    own = currency or customer.currency
    if own and parent.currency and own != parent.currency:
        reason = f"'{parent}' is billed in {parent.currency}, not in {own}"
        raise changes.refused("parentId", "CURRENCY", reason)
    _require_one_seller(customer, parent)


def require_currency(customer: Customer, currency: str) -> None:
    """Refuse a currency in which a parent or a child of `customer` is not billed."""
    family = [*customer.children.all(), *([customer.parent] if customer.parent else [])]
    for other in family:
        if other.currency and other.currency != currency:
            reason = f"'{other}' of the same family is billed in {other.currency}"
            raise changes.refused("currency", "CURRENCY", reason)


def _line_of(customer: Customer) -> set[UUID]:
    """The customer, its parent, the parent of that ... as they are stored now."""
    line: set[UUID] = set()
    above: UUID | None = customer.pk
    rows = Customer.objects.for_tenant(customer.tenant_id)
    while above is not None and above not in line:
        line.add(above)
        above = rows.filter(pk=above).values_list("parent_id", flat=True).first()
    return line


def _require_one_seller(customer: Customer, parent: Customer) -> None:
    running = (
        Subscription.objects.for_tenant(customer.tenant_id)
        .filter(customer__in=[customer.pk, parent.pk])
        .exclude(state__in=Subscription.OVER)
    )
    for field, name in (("currency", "currencies"), ("billing_entity_id", "billing entities")):
        if running.order_by().values(field).distinct().count() > 1:
            reason = f"the subscriptions of both are billed by several {name}"
            raise changes.refused("parentId", "MISMATCH", reason)
