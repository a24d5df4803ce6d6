import pytest

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from catalog.models import Product
from catalog.services import products
from tests.factories import (
    NOW,
    OfferingFactory,
    ProductFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
)

PLACE = {"base_path": "/v1", "api_version": "1.0"}


@pytest.fixture
def create(tenant, actor):
    def create(**fields):
        fields = {"name": "Search API", "metadata": PLACE, **fields}
        return products.create_product(tenant=tenant, actor=actor, now=NOW, **fields)

    return create


def edit(product, **edits):
    return products.edit_product(product=product, edits=edits, actor=Actor.system(), now=NOW)


def test_a_product_is_on_record(create, tenant):
    product = create()
    assert (product.type, product.lifecycle, product.status) == ("API", "GA", "DRAFT")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target_id) == ("PRODUCT_CREATED", str(product.id))
    assert entry.changes["metadata"] == {"before": None, "after": PLACE}
    tenant.refresh_from_db()
    assert tenant.catalog_version == 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"metadata": {}}, "metadata.base_path"),
        ({"metadata": {"base_path": "/"}}, "metadata.api_version"),
        ({"name": "Search <script>"}, "name"),
        ({"name": "Suche für alle"}, "name"),
        ({"type": "TOASTER"}, "type"),
        ({"lifecycle": "OLD"}, "lifecycle"),
        ({"status": "SOLD"}, "status"),
    ],
)
def test_impossible_products_are_refused_by_field(create, fields, field):
    with pytest.raises(Refused) as refusal:
        create(**fields)
    assert [error.field for error in refusal.value.errors] == [field]
    assert Product.objects.count() == 0


def test_only_an_api_says_where_it_lives(create):
    assert create(type="AI_AGENT", metadata=None).metadata == {}


def test_a_name_is_free_again_once_archived(create, actor):
    first = create()
    with pytest.raises(Conflict):
        create()
    products.archive_product(product=first, actor=actor, now=NOW)
    create()
    assert Product.objects.count() == 2


def test_the_lifecycle_moves_one_step_at_a_time(create):
    product = create(lifecycle="EXPERIMENTAL")
    for step in ("BETA", "GA", "DEPRECATED", "RETIRED"):
        assert edit(product, lifecycle=step).lifecycle == step
    with pytest.raises(Conflict, match="from RETIRED to GA"):
        edit(product, lifecycle="GA")


@pytest.mark.parametrize("lifecycle", ["RETIRED", "BETA"])
def test_the_lifecycle_never_jumps(create, lifecycle):
    with pytest.raises(Conflict, match=f"from GA to {lifecycle}"):
        edit(create(), lifecycle=lifecycle)


def test_a_subscribed_product_does_not_retire(tenant):
    product = ProductFactory(tenant=tenant, type="AI_AGENT", lifecycle="DEPRECATED")
    version = RatePlanVersionFactory(tenant=tenant, published=True)
    version.rate_plan.products.add(product)
    offering = OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan])
    subscription = SubscriptionFactory(tenant=tenant, offering=offering, versions=[version])
    with pytest.raises(Conflict, match="active subscriptions"):
        edit(product, lifecycle="RETIRED")
    subscription.state = "CANCELLED"
    subscription.save()
    assert edit(product, lifecycle="RETIRED").lifecycle == "RETIRED"


def test_the_type_stays(create):
    with pytest.raises(Refused, match="type: cannot be changed"):
        edit(create(), type="AI_AGENT")


def test_a_change_is_on_record(create):
    edit(create(), description="finds things")
    entry = AuditEntry.objects.get(action="PRODUCT_UPDATED")
    assert entry.changes == {"description": {"before": "", "after": "finds things"}}
