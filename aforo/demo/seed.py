"""What the demonstration sells: one plan of three units, to five customers of a sandbox."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from aforo.demo.traffic import CUSTOMERS
from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.models.members import Role
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import issue_key
from aforo.tenancy.services.tenants import create_sandbox, create_tenant
from catalog.models import BillableUnit, Offering
from catalog.models.billable_units import Aggregation
from catalog.models.products import ProductType
from catalog.services.billable_units import create_unit
from catalog.services.billing_entities import create_default_entity
from catalog.services.customers import create_customer
from catalog.services.offerings import create_offering
from catalog.services.prices import PriceDraft
from catalog.services.products import create_product
from catalog.services.rate_plans import create_rate_plan, publish_version
from catalog.services.sandboxes import clone_catalog
from catalog.services.subscriptions import create_subscription

SELLER = "Northwind AI"
OFFERING = "llm-api"
CURRENCY = "USD"
BASE_FEE = Decimal("49.00")
UNITS = {
    "input_tokens": Aggregation.SUM,
    "output_tokens": Aggregation.SUM,
    "requests": Aggregation.COUNT,
}
UNIT_COSTS = {
    "input_tokens": Decimal("0.0000011"),
    "output_tokens": Decimal("0.0000052"),
    "requests": Decimal("0.0001"),
}
TERMS: dict[str, dict[str, object]] = {
    "input_tokens": {
        "model": "GRADUATED",
        "tiers": [
            {"tierEnd": 1_000_000, "unitPrice": "0.000003"},
            {"tierEnd": 3_000_000, "unitPrice": "0.0000025"},
            {"tierEnd": -1, "unitPrice": "0.000002"},
        ],
    },
    "output_tokens": {"model": "PER_UNIT", "rate": "0.000015"},
    "requests": {
        "model": "INCLUDED_QUOTA",
        "includedFree": 1_000,
        "blockSize": 100,
        "rate": "0.50",
    },
}


@dataclass(frozen=True, slots=True)
class Seeded:
    """A sandbox that is ready for traffic, and the keys to it, shown this once."""

    sandbox: Tenant
    metering_key: str
    operator_key: str


@transaction.atomic
def seed(*, start: datetime, now: datetime, name: str = SELLER) -> Seeded:
    """A seller, what it sells, its sandbox twin, and five customers subscribed from `start`."""
    actor = Actor.system("demo")
    live = create_tenant(name=name, currency=CURRENCY, actor=actor, now=now)
    create_default_entity(tenant=live, actor=actor, now=now)
    _sell(live, actor=actor, now=now)
    sandbox = create_sandbox(tenant=live, actor=actor, now=now)
    clone_catalog(live=live, sandbox=sandbox, actor=actor, now=now)
    offering = Offering.objects.for_tenant(sandbox).get(code=OFFERING)
    for number in range(1, CUSTOMERS + 1):
        customer = create_customer(
            tenant=sandbox,
            external_id=f"cust_{number}",
            name=f"Customer {number}",
            currency=CURRENCY,
            actor=actor,
            now=start,
        )
        create_subscription(
            tenant=sandbox,
            customer=customer,
            offering=offering,
            start=start,
            anchor_day=1,
            actor=actor,
            now=start,
        )
    return Seeded(
        sandbox,
        metering_key=_key(sandbox, ApiKey.Kind.METERING, actor=actor, now=now),
        operator_key=_key(sandbox, ApiKey.Kind.OPERATOR, actor=actor, now=now),
    )


def _sell(tenant: Tenant, *, actor: Actor, now: datetime) -> None:
    product = create_product(
        tenant=tenant, name="LLM API", type=ProductType.AGENTIC_API, actor=actor, now=now
    )
    units = [_unit(tenant, name, actor=actor, now=now) for name in UNITS]
    draft = create_rate_plan(
        tenant=tenant,
        name="Pay as you go",
        currency=CURRENCY,
        products=[product],
        base_fee=BASE_FEE,
        price_drafts=[PriceDraft(unit, TERMS[unit.name]) for unit in units],
        actor=actor,
        now=now,
    )
    version = publish_version(version=draft, actor=actor, now=now)
    create_offering(
        tenant=tenant,
        code=OFFERING,
        name="LLM API, pay as you go",
        plans=[version.rate_plan],
        currency=CURRENCY,
        actor=actor,
        now=now,
    )


def _unit(tenant: Tenant, name: str, *, actor: Actor, now: datetime) -> BillableUnit:
    return create_unit(
        tenant=tenant,
        name=name,
        aggregation=UNITS[name],
        unit_cost=UNIT_COSTS[name],
        unit_label=name.replace("_", " ").removesuffix("s"),
        product_type=ProductType.AGENTIC_API,
        actor=actor,
        now=now,
    )


def _key(tenant: Tenant, kind: str, *, actor: Actor, now: datetime) -> str:
    _, plaintext = issue_key(
        tenant=tenant, kind=kind, name="demo", role=Role.ADMIN, actor=actor, now=now
    )
    return plaintext
