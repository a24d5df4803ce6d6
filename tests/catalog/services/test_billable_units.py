from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection

from aforo.errors import Conflict, NotFound, Refused
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from catalog.models import BillableUnit
from catalog.services import billable_units
from catalog.services.rate_plans import publish_version
from tests.factories import (
    NOW,
    PER_UNIT,
    BillableUnitFactory,
    ProductFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)

BELOW_400 = [{"field": "status_code", "operator": "LESS_THAN", "value": "400"}]


@pytest.fixture
def create(tenant, actor):
    def create(**fields):
        fields = {"name": "api_calls", **fields}
        return billable_units.create_unit(tenant=tenant, actor=actor, now=NOW, **fields)

    return create


def edit(unit, **edits):
    return billable_units.edit_unit(unit=unit, edits=edits, actor=Actor.system(), now=NOW)


def test_a_unit_says_what_it_counts(create, tenant):
    product = ProductFactory(tenant=tenant)
    unit = create(
        aggregation="SUM",
        source_metric="calls",
        filter_conditions=BELOW_400,
        unit_cost=Decimal("0.0004"),
        unit_label="call",
        product_type="AI_AGENT",
        products=[product],
    )
    unit.refresh_from_db()
    assert (unit.aggregation, unit.metric, unit.product_type) == ("SUM", "calls", "AI_AGENT")
    assert (unit.unit_cost, unit.filter_conditions) == (Decimal("0.0004"), BELOW_400)
    assert list(unit.products.all()) == [product]
    entry = AuditEntry.objects.get()
    assert entry.action == "BILLABLE_UNIT_CREATED"
    assert entry.changes["unit_cost"] == {"before": None, "after": "0.0004"}
    tenant.refresh_from_db()
    assert tenant.catalog_version == 2


def test_count_distinct_is_unique(create):
    unit = create(aggregation="COUNT_DISTINCT", event_field="user_id")
    assert unit.aggregation == "UNIQUE"


def test_names_of_routes_are_names_of_units(create):
    assert create(name="GET /users/<int:uid>").metric == "GET /users/<int:uid>"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"aggregation": "MEDIAN"}, "aggregationType"),
        ({"divide_by": Decimal(0)}, "divideBy"),
        ({"rounding": "UP"}, "rounding"),
        ({"rounding": "CEIL", "rounding_places": 13}, "roundingPlaces"),
        ({"rounding_places": 1}, "roundingPlaces"),
        ({"aggregation": "COUNT", "recurring": True}, "recurring"),
        ({"aggregation": "AVG", "recurring": True}, "recurring"),
        ({"aggregation": "UNIQUE"}, "eventField"),
        ({"unit_cost": Decimal(-1)}, "unitCost"),
        ({"unit_cost": Decimal("1e-13")}, "unitCost"),
        ({"product_type": "TOASTER"}, "productType"),
        (
            {"filter_conditions": [{"field": "f", "operator": "LIKE", "value": "1"}]},
            "filterConditions[0].operator",
        ),
    ],
)
def test_impossible_units_are_refused_by_field(create, fields, field):
    with pytest.raises(Refused) as refusal:
        create(**fields)
    assert [error.field for error in refusal.value.errors] == [field]
    assert BillableUnit.objects.count() == 0


def test_a_name_is_taken_once(create, actor):
    create()
    with pytest.raises(Conflict, match="'api_calls'"):
        create()
    billable_units.create_unit(tenant=TenantFactory(), actor=actor, now=NOW, name="api_calls")


def test_a_change_is_on_record(create, tenant):
    unit = edit(create(), filter_conditions=BELOW_400, unit_label="call")
    assert unit.filter_conditions == BELOW_400
    entry = AuditEntry.objects.get(action="BILLABLE_UNIT_UPDATED")
    assert entry.changes == {
        "filter_conditions": {"before": [], "after": BELOW_400},
        "unit_label": {"before": "", "after": "call"},
    }


def test_a_change_to_the_same_is_none(create, tenant):
    unit = create()
    tenant.refresh_from_db()
    edit(unit, name="api_calls")
    assert AuditEntry.objects.count() == 1
    before = tenant.catalog_version
    tenant.refresh_from_db()
    assert tenant.catalog_version == before


def test_bad_conditions_change_nothing(create):
    unit = create()
    with pytest.raises(Refused):
        edit(unit, filter_conditions=[{"field": "f"}])
    unit.refresh_from_db()
    assert unit.filter_conditions == []


def test_the_aggregation_of_a_priced_unit_stays(create, tenant):
    unit = create()
    assert edit(unit, aggregation="SUM").aggregation == "SUM"
    RatePlanVersionFactory(tenant=tenant, prices={unit: PER_UNIT})
    with pytest.raises(Conflict, match="its aggregation stays"):
        edit(unit, aggregation="COUNT")
    assert edit(unit, aggregation="SUM", unit_label="x").unit_label == "x"


def test_a_unit_that_is_subscribed_is_not_archived(create, tenant, actor):
    unit = create()
    version = RatePlanVersionFactory(tenant=tenant, prices={unit: PER_UNIT}, published=True)
    subscription = SubscriptionFactory(tenant=tenant, versions=[version])
    with pytest.raises(Conflict) as conflict:
        billable_units.archive_unit(unit=unit, actor=actor, now=NOW)
    assert conflict.value.code == "METRIC_BLOCKED"
    subscription.state = "CANCELLED"
    subscription.save()
    assert billable_units.archive_unit(unit=unit, actor=actor, now=NOW).archived_at == NOW


def test_templates_make_units_once(tenant, actor):
    names = ["MCP Connected Agents", "MCP Tool Calls"]

    def create():
        return billable_units.create_from_templates(
            tenant=tenant,
            actor=actor,
            now=NOW,
            product_type="MCP_SERVER",
            template_names=names,
        )

    first = create()
    assert [(unit.name, unit.event_field, unit.aggregation) for unit in first] == [
        ("MCP Connected Agents", "agent_id", "UNIQUE"),
        ("MCP Tool Calls", "tool_call_count", "COUNT"),
    ]
    assert create() == first
    assert BillableUnit.objects.count() == 2


def test_an_unknown_template_is_refused_by_index(tenant, actor):
    with pytest.raises(Refused) as refusal:
        billable_units.create_from_templates(
            tenant=tenant,
            actor=actor,
            now=NOW,
            product_type="API",
            template_names=["API Calls", "MCP Tool Calls"],
        )
    assert [error.field for error in refusal.value.errors] == ["templateNames[1]"]
    assert BillableUnit.objects.count() == 0


def test_an_unknown_product_type_has_no_templates():
    with pytest.raises(NotFound):
        billable_units.templates_of("TOASTER")


@pytest.mark.django_db(transaction=True)
def test_eight_threads_make_each_template_once():
    tenant = TenantFactory()
    BillableUnitFactory(tenant=tenant, name="API Calls")
    barrier = Barrier(8)

    def create(_):
        try:
            barrier.wait(10)
            units = billable_units.create_from_templates(
                tenant=tenant,
                actor=Actor.system(),
                now=NOW,
                product_type="API",
                template_names=["API Calls", "Active Users"],
            )
            return tuple(unit.pk for unit in units)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(create, range(8)))) == 1
    assert BillableUnit.objects.count() == 2


@pytest.mark.parametrize("aggregation", ["LATEST", "AVG", "PERCENTILE_95", "WEIGHTED_SUM"])
def test_every_aggregation_can_be_counted_by(create, aggregation):
    assert create(aggregation=aggregation).aggregation == aggregation


MEASURES = {"divide_by": Decimal(60), "rounding": "CEIL", "rounding_places": 1, "recurring": True}


@pytest.mark.parametrize("field", MEASURES)
def test_measures_stay_once_they_are_published(create, tenant, field):
    unit = create(aggregation="SUM", rounding="FLOOR")
    version = RatePlanVersionFactory(tenant=tenant, prices={unit: PER_UNIT})
    edited = edit(unit, **{field: MEASURES[field]})  # a draft can still be thought about
    assert getattr(edited, field) == MEASURES[field]
    before = edit(unit, **{field: getattr(unit, field)})
    publish_version(version=version, actor=Actor.system(), now=NOW)
    with pytest.raises(Conflict, match="is priced by a published rate plan"):
        edit(unit, **{field: MEASURES[field]})
    unit.refresh_from_db()
    assert getattr(unit, field) == getattr(before, field)
    assert edit(unit, tax_code="SaaS", **{field: getattr(before, field)}).tax_code == "SaaS"
