from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import DatabaseError, connection, transaction

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from catalog.models import RatePlan, RatePlanVersion, UnitPrice
from catalog.services import rate_plans
from catalog.services.prices import PriceDraft
from tests.factories import (
    NOW,
    BillableUnitFactory,
    OfferingFactory,
    ProductFactory,
    RatePlanVersionFactory,
)

GRADUATED = {
    "model": "GRADUATED",
    "tiers": [
        {"tierEnd": "1000000", "unitPrice": "0.000003"},
        {"tierEnd": "-1", "unitPrice": "0.000002"},
    ],
}


@pytest.fixture
def unit(tenant):
    return BillableUnitFactory(tenant=tenant, name="tokens")


@pytest.fixture
def create(tenant, actor):
    def create(**fields):
        fields = {"name": "Pro", "currency": "USD", **fields}
        return rate_plans.create_rate_plan(tenant=tenant, actor=actor, now=NOW, **fields)

    return create


@pytest.fixture
def draft(create, unit):
    price = PriceDraft(unit, {"model": "PER_UNIT", "rate": "0.01"})
    return create(price_drafts=[price], base_fee=Decimal("49.00"))


def publish(version):
    return rate_plans.publish_version(version=version, actor=Actor.system(), now=NOW)


def test_a_plan_begins_as_a_draft_of_version_one(create, tenant, unit):
    product = ProductFactory(tenant=tenant)
    draft = create(
        price_drafts=[PriceDraft(unit, GRADUATED)],
        products=[product],
        base_fee=Decimal("49.00"),
        minimum_spend=Decimal(100),
        discount_percent=Decimal("12.5"),
        discount_amount=Decimal(5),
    )
    draft.refresh_from_db()
    assert (draft.number, draft.status) == (1, "DRAFT")
    assert (draft.base_fee, draft.minimum_spend) == (Decimal(49), Decimal(100))
    assert (draft.discount_percent, draft.discount_amount) == (Decimal("12.5"), Decimal(5))
    assert list(draft.rate_plan.products.all()) == [product]
    price = draft.prices.get()
    assert (price.unit, price.timing, price.position) == (unit, "ARREARS", 0)
    assert price.terms["model"] == "GRADUATED"
    assert price.terms["tiers"][0]["unitPrice"] == "0.000003"


def test_terms_are_stored_in_their_canonical_spelling(draft):
    assert draft.prices.get().terms == {"model": "PER_UNIT", "rate": "0.01", "includedFree": "0"}


def test_a_name_is_taken_once_among_plans_in_use(create, actor):
    first = create()
    with pytest.raises(Conflict, match="'Pro'"):
        create()
    rate_plans.archive_plan(plan=first.rate_plan, actor=actor, now=NOW)
    assert create().rate_plan.name == "Pro"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"currency": "ABC"}, "currency"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "XAU"}, "currency"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"base_fee": Decimal("-0.01")}, "baseFee"),
        ({"base_fee": Decimal("0.0000000000001")}, "baseFee"),
        ({"minimum_spend": Decimal(-1)}, "minimumSpend"),
        ({"discount_percent": Decimal("100.1")}, "discountPercent"),
        ({"discount_percent": Decimal(-1)}, "discountPercent"),
        ({"discount_amount": Decimal("1e27")}, "discountAmount"),
    ],
)
def test_impossible_plans_are_refused_by_field(create, fields, field):
    with pytest.raises(Refused) as refusal:
        create(**fields)
    assert [error.field for error in refusal.value.errors] == [field]
    assert RatePlan.objects.count() == 0


def test_contradictory_terms_are_refused_where_they_were_written(create, unit):
    price = PriceDraft(unit, {"model": "PER_UNIT", "rate": "-1"}, path="metricConfigs[3]")
    with pytest.raises(Refused) as refusal:
        create(price_drafts=[price])
    assert [error.field for error in refusal.value.errors] == ["metricConfigs[3].rate"]
    assert RatePlan.objects.count() == 0


def test_a_unit_is_priced_once(create, unit):
    price = PriceDraft(unit, {"model": "PER_UNIT", "rate": "1"})
    with pytest.raises(Refused, match="'tokens' is priced twice"):
        create(price_drafts=[price, price])


@pytest.mark.parametrize(
    ("terms", "timing", "reason"),
    [
        ({"model": "FLAT_RATE", "flatRate": "1"}, "IN_ARREARS", "must be one of ARREARS"),
        ({"model": "PER_UNIT", "rate": "1"}, "ADVANCE", "only a FLAT_RATE is known in advance"),
    ],
)
def test_what_is_not_known_in_advance_is_not_billed_then(create, unit, terms, timing, reason):
    with pytest.raises(Refused, match=reason) as refusal:
        create(price_drafts=[PriceDraft(unit, terms, timing=timing, path="metricConfigs[2]")])
    assert [error.field for error in refusal.value.errors] == ["metricConfigs[2].billingTiming"]


def test_a_flat_rate_may_be_billed_in_advance(create, unit):
    price = PriceDraft(unit, {"model": "FLAT_RATE", "flatRate": "1"}, timing="ADVANCE")
    assert create(price_drafts=[price]).prices.get().timing == "ADVANCE"


def test_a_draft_can_be_edited(draft, actor, tenant):
    other = BillableUnitFactory(tenant=tenant, name="calls")
    rate_plans.edit_draft(
        version=draft,
        actor=actor,
        now=NOW,
        fees={"base_fee": Decimal(50)},
        price_drafts=[PriceDraft(other, {"model": "FLAT_RATE", "flatRate": "9"})],
    )
    draft.refresh_from_db()
    assert draft.base_fee == Decimal(50)
    assert [price.unit for price in draft.prices.all()] == [other]
    entry = AuditEntry.objects.get(action="RATE_PLAN_DRAFT_UPDATED")
    assert entry.changes == {
        "base_fee": {"before": "49", "after": "50"},
        "price of tokens": {
            "before": {"model": "PER_UNIT", "rate": "0.01", "includedFree": "0"},
            "after": None,
        },
        "price of calls": {"before": None, "after": {"model": "FLAT_RATE", "flatRate": "9"}},
    }


def test_fees_alone_leave_the_prices(draft, actor):
    before = draft.prices.get().pk
    rate_plans.edit_draft(version=draft, actor=actor, now=NOW, fees={"base_fee": Decimal(50)})
    assert draft.prices.get().pk == before


def test_publishing_dates_a_version_and_is_on_record(draft, tenant):
    version = publish(draft)
    assert (version.status, version.published_at) == ("PUBLISHED", NOW)
    entry = AuditEntry.objects.get(action="RATE_PLAN_PUBLISHED")
    assert (entry.target_type, entry.target_id) == ("RatePlan", str(draft.rate_plan_id))
    assert entry.changes["version"] == {"before": None, "after": 1}
    assert entry.changes["base_fee"] == {"before": None, "after": "49"}
    before = tenant.catalog_version
    tenant.refresh_from_db()
    assert tenant.catalog_version == before + 2  # made, published


def test_publishing_twice_publishes_once(draft):
    first = publish(draft)
    assert publish(draft).published_at == first.published_at
    assert AuditEntry.objects.filter(action="RATE_PLAN_PUBLISHED").count() == 1


def test_terms_that_went_bad_are_not_published(draft):
    UnitPrice.objects.update(terms={"model": "PER_UNIT"})
    with pytest.raises(Refused, match="rate"):
        publish(draft)
    draft.refresh_from_db()
    assert draft.status == "DRAFT"


def test_an_archived_unit_is_not_published(draft, unit):
    unit.archived_at = NOW
    unit.save()
    with pytest.raises(Refused, match="which is archived"):
        publish(draft)


def test_a_published_version_is_not_edited_but_followed(draft, actor, unit):
    published = publish(draft)
    with pytest.raises(Conflict, match="never changes"):
        rate_plans.edit_draft(version=published, actor=actor, now=NOW, fees={})
    plan = published.rate_plan

    second = rate_plans.draft_next_version(plan=plan, actor=actor, now=NOW)

    assert (second.number, second.status, second.base_fee) == (2, "DRAFT", Decimal(49))
    assert [(price.unit, price.terms) for price in second.prices.all()] == [
        (unit, {"model": "PER_UNIT", "rate": "0.01", "includedFree": "0"})
    ]
    with pytest.raises(Conflict, match="has a draft already"):
        rate_plans.draft_next_version(plan=plan, actor=actor, now=NOW)
    assert plan.versions.count() == 2


def test_a_plan_never_published_has_no_next_version(draft, actor):
    with pytest.raises(Refused, match="no published version"):
        rate_plans.draft_next_version(plan=draft.rate_plan, actor=actor, now=NOW)


def test_a_plan_is_renamed_on_record(draft, actor):
    plan = rate_plans.edit_plan(plan=draft.rate_plan, edits={"name": "Team"}, actor=actor, now=NOW)
    assert plan.name == "Team"
    entry = AuditEntry.objects.get(action="RATE_PLAN_UPDATED")
    assert entry.changes == {"name": {"before": "Pro", "after": "Team"}}
    with pytest.raises(Refused, match="currency: cannot be changed"):
        rate_plans.edit_plan(plan=plan, edits={"currency": "EUR"}, actor=actor, now=NOW)


def test_products_of_a_plan_are_replaced_on_record(draft, actor, tenant):
    product = ProductFactory(tenant=tenant, name="Search")
    rate_plans.edit_plan(plan=draft.rate_plan, edits={}, products=[product], actor=actor, now=NOW)
    entry = AuditEntry.objects.get(action="RATE_PLAN_UPDATED")
    assert entry.changes == {"products": {"before": [], "after": ["Search"]}}


def test_a_plan_on_sale_is_not_archived(draft, actor):
    OfferingFactory(tenant=draft.tenant, rate_plans=[draft.rate_plan])
    with pytest.raises(Conflict, match="active offering"):
        rate_plans.archive_plan(plan=draft.rate_plan, actor=actor, now=NOW)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rate_plan_versions SET base_fee = 1",
        "UPDATE rate_plan_versions SET status = 'DRAFT', published_at = NULL",
        "DELETE FROM rate_plan_versions",
        "UPDATE unit_prices SET terms = '{}'",
        "UPDATE unit_prices SET position = 7",
        "DELETE FROM unit_prices",
        """INSERT INTO unit_prices (id, tenant_id, version_id, unit_id, terms, timing, position)
           SELECT gen_random_uuid(), v.tenant_id, v.id, u.id, '{}', 'ARREARS', 1
           FROM rate_plan_versions v, billable_units u WHERE u.name = 'spare'""",
    ],
)
def test_the_database_refuses_changes_of_what_is_published(draft, tenant, statement):
    BillableUnitFactory(tenant=tenant, name="spare")
    publish(draft)
    with pytest.raises(DatabaseError, match=r"never change|Cannot"), transaction.atomic():
        connection.cursor().execute(statement)
    assert RatePlanVersion.objects.get().base_fee == Decimal(49)
    assert UnitPrice.objects.get().terms["rate"] == "0.01"


def test_a_price_cannot_be_moved_into_a_published_version(tenant, unit):
    published = RatePlanVersionFactory(tenant=tenant, published=True)
    draft = RatePlanVersionFactory(tenant=tenant, prices={unit: {"model": "PER_UNIT", "rate": 1}})
    with pytest.raises(DatabaseError, match=r"never change|Cannot"), transaction.atomic():
        UnitPrice.objects.update(version=published)
    assert UnitPrice.objects.get().version == draft


@pytest.mark.django_db(transaction=True)
def test_eight_threads_publish_once():
    draft = RatePlanVersionFactory()
    barrier = Barrier(8)

    def publish_at_once(_):
        try:
            barrier.wait(10)
            return publish(draft).published_at
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(publish_at_once, range(8))) == {NOW}
    assert AuditEntry.objects.filter(action="RATE_PLAN_PUBLISHED").count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_threads_draft_one_next_version():
    version = RatePlanVersionFactory(published=True)
    barrier = Barrier(8)

    def draft_at_once(_):
        try:
            barrier.wait(10)
            rate_plans.draft_next_version(plan=version.rate_plan, actor=Actor.system(), now=NOW)
        except Conflict:
            return "conflict"
        else:
            return "drafted"
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(draft_at_once, range(8))) == ["conflict"] * 7 + ["drafted"]
