"""Opening a tenant for business: with who invoices, keys, and a sandbox to try things in."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.models.members import Role
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import issue_key
from aforo.tenancy.services.tenants import create_sandbox, create_tenant
from catalog.services.billing_entities import create_default_entity
from catalog.services.sandboxes import clone_catalog


@dataclass(frozen=True, slots=True)
class Opening:
    """A tenant and the plaintext of its first keys, which is nowhere else."""

    tenant: Tenant
    metering_key: str
    operator_key: str


@transaction.atomic
def open_tenant(
    *,
    name: str,
    currency: str,
    actor: Actor,
    now: datetime,
    slug: str | None = None,
    time_zone: str = "UTC",
    country: str = "",
) -> Opening:
    """A new live tenant that can meter and bill: billing entity, metering key, operator key."""
    tenant = create_tenant(
        name=name,
        currency=currency,
        actor=actor,
        now=now,
        slug=slug,
        time_zone=time_zone,
        country=country,
    )
    create_default_entity(tenant=tenant, actor=actor, now=now)
    return _with_keys(tenant, actor=actor, now=now)


@transaction.atomic
def open_sandbox(*, live: Tenant, actor: Actor, now: datetime) -> Opening:
    """The sandbox of `live`, selling what it sells, with keys of its own."""
    sandbox = create_sandbox(tenant=live, actor=actor, now=now)
    clone_catalog(live=live, sandbox=sandbox, actor=actor, now=now)
    return _with_keys(sandbox, actor=actor, now=now)


def _with_keys(tenant: Tenant, *, actor: Actor, now: datetime) -> Opening:
    kinds = ApiKey.Kind
    _, metering = issue_key(
        tenant=tenant, kind=kinds.METERING, name="first metering key", actor=actor, now=now
    )
    _, operator = issue_key(
        tenant=tenant,
        kind=kinds.OPERATOR,
        name="first operator key",
        role=Role.OWNER,
        actor=actor,
        now=now,
    )
    return Opening(tenant, metering_key=metering, operator_key=operator)
