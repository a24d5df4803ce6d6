"""By which names customers are known: external id, own id, aliases."""

import re
from collections.abc import Collection, Mapping
from uuid import UUID

from django.db.models import Q

from catalog import aliases
from catalog.models import Customer, CustomerAlias

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def customers_by_name(tenant_id: UUID, names: set[str]) -> dict[str, tuple[UUID, str]]:
    """(id, external id) per name that is known: one that `contracts_of` takes."""
    ids = [own_id for own_id in map(_id_in, names) if own_id]
    known = Customer.objects.for_tenant(tenant_id).filter(Q(external_id__in=names) | Q(id__in=ids))
    rows = list(known.values_list("id", "external_id"))
    customers = {str(row[0]): row for row in rows if str(row[0]) in names}
    customers |= {row[1]: row for row in rows if row[1] in names}
    digests = {
        name: aliases.digest_in(name) or aliases.digest_of(tenant_id, name)
        for name in names
        if name not in customers
    }
    if digests:
        by_digest = _customers_by_digest(tenant_id, digests.values())
        customers |= {
            name: by_digest[digest] for name, digest in digests.items() if digest in by_digest
        }
    return customers


def _id_in(name: str) -> UUID | None:
    """The id that a name spells out, as the answers of the API do."""
    return UUID(name) if _ID.fullmatch(name) else None


def _customers_by_digest(
    tenant_id: UUID, digests: Collection[bytes]
) -> Mapping[bytes, tuple[UUID, str]]:
    rows = (
        CustomerAlias.objects.for_tenant(tenant_id)
        .filter(digest__in=digests)
        .values_list("digest", "customer_id", "customer__external_id")
    )
    return {bytes(digest): (customer_id, name) for digest, customer_id, name in rows}
