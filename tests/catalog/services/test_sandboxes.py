from decimal import Decimal

import pytest
from django.db.models import F

from aforo.errors import Refused
from aforo.tenancy.models import AuditEntry, Tenant
from catalog.models import (
    BillableUnit,
    BillingEntity,
    Customer,
    Offering,
    PlanFeature,
    Product,
    RatePlan,
    RatePlanVersion,
    UnitPrice,
)
from catalog.services.prices import PriceDraft
from catalog.services.rate_plans import edit_draft, publish_version
from catalog.services.sandboxes import clone_catalog
from catalog.services.subscriptions import create_subscription
from catalog.services.version_currencies import CurrencyFees
from tests.factories import (
    NOW,
    PER_UNIT,
    BillableUnitFactory,
    BillingEntityFactory,
    CustomerFactory,
    FeatureFactory,
    OfferingFactory,
    PlanFeatureFactory,
    ProductFactory,
    RatePlanFactory,
    RatePlanVersionFactory,
    SandboxFactory,
    TenantFactory,
)

CLONED = (Product, BillableUnit, RatePlan, RatePlanVersion, UnitPrice, Offering, BillingEntity)


@pytest.fixture
def sandbox(tenant):
    return SandboxFactory(live_twin=tenant)


@pytest.fixture
def live(tenant):
    """A tenant that sells one plan, in its second version, with a third being written."""
    product = ProductFactory(tenant=tenant, name="Search")
    unit = BillableUnitFactory(tenant=tenant, name="calls", unit_cost=Decimal("0.002"))
    unit.products.add(product)
    plan = RatePlanFactory(tenant=tenant, name="Pro")
    plan.products.add(product)
    for number in (1, 2, 3):
        RatePlanVersionFactory(
            tenant=tenant,
            rate_plan=plan,
            number=number,
            base_fee=Decimal(number),
            prices={unit: PER_UNIT},
            published=number < 3,
        )
    OfferingFactory(tenant=tenant, code="pro", rate_plans=[plan])
    limit = FeatureFactory(tenant=tenant, key="api", kind="LIMIT", unit=unit)
    PlanFeatureFactory(tenant=tenant, rate_plan=plan, feature=limit, limit=5)
    BillingEntityFactory(tenant=tenant, code="US", next_invoice_number=42)
    CustomerFactory(tenant=tenant)
    return tenant


def clone(live, sandbox, actor):
    return clone_catalog(live=live, sandbox=sandbox, actor=actor, now=NOW)


def test_a_sandbox_sells_the_same(live, sandbox, actor):
    copied = clone(live, sandbox, actor)
    assert copied == {
        "billing_entities": 1,
        "products": 1,
        "billable_units": 1,
        "rate_plans": 1,
        "offerings": 1,
        "features": 1,
    }
    product = Product.objects.for_tenant(sandbox).get()
    unit = BillableUnit.objects.for_tenant(sandbox).get()
    plan = RatePlan.objects.for_tenant(sandbox).get()
    offering = Offering.objects.for_tenant(sandbox).get()
    entity = BillingEntity.objects.for_tenant(sandbox).get()
    assert (unit.name, unit.unit_cost, list(unit.products.all())) == (
        "calls",
        Decimal("0.002"),
        [product],
    )
    assert list(plan.products.all()) == [product]
    versions = plan.versions.order_by("number")
    assert [(row.number, row.status, row.base_fee) for row in versions] == [
        (1, "PUBLISHED", Decimal(1)),
        (2, "PUBLISHED", Decimal(2)),
    ]
    assert [(price.unit, price.terms) for price in versions[1].prices.all()] == [(unit, PER_UNIT)]
    assert [item.rate_plan for item in offering.items.all()] == [plan]
    granted = PlanFeature.objects.for_tenant(sandbox).get()
    assert (granted.rate_plan, granted.feature.unit, granted.limit) == (plan, unit, 5)
    assert (entity.code, entity.is_default, entity.next_invoice_number) == ("US", True, 1)
    assert Customer.objects.for_tenant(sandbox).count() == 0


def test_no_row_of_the_sandbox_points_at_the_live_twin(live, sandbox, actor):
    clone(live, sandbox, actor)
    prices = UnitPrice.objects.for_tenant(sandbox)
    assert prices.exclude(unit__tenant=F("tenant"), version__tenant=F("tenant")).count() == 0
    assert Offering.objects.for_tenant(sandbox).exclude(plans__tenant=sandbox).count() == 0
    assert RatePlan.objects.for_tenant(sandbox).exclude(products__tenant=sandbox).count() == 0


def test_cloning_again_adds_only_what_is_new(live, sandbox, actor):
    clone(live, sandbox, actor)
    before = {model: model.objects.for_tenant(sandbox).count() for model in CLONED}
    assert set(clone(live, sandbox, actor).values()) == {0}
    assert {model: model.objects.for_tenant(sandbox).count() for model in CLONED} == before

    BillableUnitFactory(tenant=live, name="tokens")
    assert clone(live, sandbox, actor)["billable_units"] == 1


def test_the_default_entity_of_a_sandbox_stays(live, sandbox, actor):
    kept = BillingEntityFactory(tenant=sandbox, code="TEST")
    clone(live, sandbox, actor)
    assert BillingEntity.objects.for_tenant(sandbox).get(is_default=True) == kept
    assert BillingEntity.objects.for_tenant(sandbox).count() == 2


def test_what_is_archived_stays_behind(live, sandbox, actor):
    RatePlan.objects.for_tenant(live).update(archived_at=NOW)
    Offering.objects.for_tenant(live).update(status="ARCHIVED")
    Product.objects.for_tenant(live).update(status="ARCHIVED")
    copied = clone(live, sandbox, actor)
    assert (copied["rate_plans"], copied["offerings"], copied["products"]) == (0, 0, 0)


def test_a_cloned_offering_can_be_subscribed(live, sandbox, actor):
    clone(live, sandbox, actor)
    subscription = create_subscription(
        tenant=sandbox,
        actor=actor,
        now=NOW,
        customer=CustomerFactory(tenant=sandbox),
        offering=Offering.objects.for_tenant(sandbox).get(),
    )
    assert subscription.plans.get().version.number == 2


def test_a_clone_is_on_record(live, sandbox, actor):
    clone(live, sandbox, actor)
    entry = AuditEntry.objects.get(action="CATALOG_CLONED")
    assert entry.tenant == sandbox
    assert entry.changes["billable_units"] == {"before": None, "after": 1}
    assert Tenant.objects.get(pk=sandbox.pk).catalog_version == 2


def test_only_a_sandbox_of_the_tenant_is_filled(live, actor):
    with pytest.raises(Refused, match="is not the sandbox of"):
        clone(live, SandboxFactory(), actor)
    with pytest.raises(Refused, match="is not the sandbox of"):
        clone(live, TenantFactory(), actor)


def test_terms_and_currencies_come_whole(live, sandbox, actor):
    unit = BillableUnit.objects.get(tenant=live)
    draft = RatePlanVersion.objects.get(tenant=live, status="DRAFT")
    edit_draft(
        version=draft,
        actor=actor,
        now=NOW,
        fees={"setup_fee": Decimal(5), "dimension_pricing": {"search": 2}},
        currencies=[CurrencyFees("EUR", base_fee=Decimal(9))],
        price_drafts=[
            PriceDraft(
                unit, PER_UNIT | {"includedFree": 9}, group_by=["region"], rollover_periods=2
            ),
            PriceDraft(unit, {"model": "PER_UNIT", "rate": "0.2"}, currency="EUR"),
        ],
    )
    publish_version(version=draft, actor=actor, now=NOW)
    clone(live, sandbox, actor)
    cloned = RatePlanVersion.objects.get(tenant=sandbox, number=3)
    assert (cloned.status, cloned.setup_fee) == ("PUBLISHED", 5)
    assert [(row.currency, row.base_fee) for row in cloned.currencies.all()] == [("EUR", 9)]
    prices = cloned.prices.order_by("position")
    assert [(row.currency, row.rollover_periods) for row in prices] == [("", 2), ("EUR", 2)]
    live_terms = [row.terms for row in draft.prices.order_by("position")]
    assert [row.terms for row in prices] == live_terms
    assert live_terms[0]["groupBy"] == ["region"]
