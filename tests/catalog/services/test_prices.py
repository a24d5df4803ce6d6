from decimal import Decimal

import pytest

from aforo.errors import Refused
from catalog.models import RatePlan, UnitPrice
from catalog.pricing import parse_terms
from catalog.services import billable_units, rate_plans
from catalog.services.prices import PriceDraft
from catalog.services.version_currencies import CurrencyFees
from tests.factories import NOW, BillableUnitFactory

PER_UNIT = {"model": "PER_UNIT", "rate": "0.01", "includedFree": "100"}
FLAT = {"model": "FLAT_RATE", "flatRate": "9"}
MATRIX = {"model": "MATRIX", "dimensions": ["region"], "defaultRate": "1"}
DYNAMIC = {"model": "DYNAMIC", "amountField": "cost"}
CARDS = {"model": "PERCENTAGE", "ratePercent": "2.9", "minPerTransaction": "0.25"}
EUR = CurrencyFees("EUR", base_fee=Decimal(45))


@pytest.fixture
def unit(tenant):
    return BillableUnitFactory(tenant=tenant, name="tokens", product_type="MCP_SERVER")


@pytest.fixture
def create(tenant, actor):
    def create(*drafts, **fields):
        return rate_plans.create_rate_plan(
            tenant=tenant,
            actor=actor,
            now=NOW,
            price_drafts=drafts,
            **{"name": "Pro", "currency": "USD", **fields},
        )

    return create


@pytest.fixture
def publish(create, actor):
    def publish(*drafts, **fields):
        version = create(*drafts, **fields)
        return rate_plans.publish_version(version=version, actor=actor, now=NOW)

    return publish


def test_publication_writes_down_all_that_prices_a_unit(publish, tenant):
    unit = BillableUnitFactory(
        tenant=tenant,
        product_type="MCP_SERVER",
        divide_by=Decimal(1000),
        rounding="CEIL",
        rounding_places=1,
    )
    version = publish(
        PriceDraft(unit, PER_UNIT, group_by=["region"]),
        dimension_pricing={"search": Decimal("1.50")},
    )
    whole = {
        "model": "PER_UNIT",
        "rate": "0.01",
        "includedFree": "100",
        "divideBy": "1000",
        "rounding": "CEIL",
        "roundingPlaces": 1,
        "groupBy": ["region"],
        "dimensionKey": "tool_name",
        "dimensionPricing": {"search": "1.5"},
    }
    assert version.prices.get().terms == whole
    terms = parse_terms(whole)
    search = terms.of_dimension('{"region":"eu","tool_name":"search"}')
    assert search.charge(Decimal(200_001)) == Decimal("1.5015")  # (200.1 - 100) x .01 x 1.5


def test_a_draft_keeps_what_the_model_says(create, unit):
    draft = create(PriceDraft(unit, PER_UNIT), dimension_pricing={"search": 2})
    assert draft.prices.get().terms == PER_UNIT
    assert draft.dimension_pricing == {"search": "2"}


def test_a_later_change_of_a_unit_changes_no_published_price(publish, actor, unit):
    version = publish(PriceDraft(unit, PER_UNIT))
    billable_units.edit_unit(unit=unit, edits={"tax_code": "X"}, actor=actor, now=NOW)
    assert version.prices.get().terms == PER_UNIT


def test_the_next_draft_begins_with_everything(publish, actor, unit):
    version = publish(
        PriceDraft(
            unit,
            PER_UNIT,
            group_by=["region"],
            rollover_periods=3,
            rollover_cap=Decimal(50),
            rollover_cap_percent=Decimal(25),
        ),
        PriceDraft(unit, {**PER_UNIT, "rate": "0.009"}, currency="EUR"),
        currencies=[EUR],
        setup_fee=Decimal(5),
        maximum_spend=Decimal(900),
        base_fee_timing="ADVANCE",
        proration="DAY",
        dimension_key="tool",
        dimension_pricing={"search": 2},
    )
    draft = rate_plans.draft_next_version(plan=version.rate_plan, actor=actor, now=NOW)
    for field in ("setup_fee", "maximum_spend", "base_fee_timing", "proration", "dimension_key"):
        assert getattr(draft, field) == getattr(version, field)
    assert draft.dimension_pricing == {"search": "2"}
    assert [(row.currency, row.base_fee) for row in draft.currencies.all()] == [("EUR", 45)]
    own, euros = draft.prices.order_by("position")
    assert own.terms == PER_UNIT
    assert (own.group_by, own.rollover_periods, own.rollover_cap) == (["region"], 3, 50)
    assert (euros.currency, euros.terms["rate"]) == ("EUR", "0.009")
    assert (euros.group_by, euros.rollover_cap_percent) == (["region"], 25)
    again = rate_plans.publish_version(version=draft, actor=actor, now=NOW)
    before, after = (
        list(item.prices.order_by("position").values_list("terms", flat=True))
        for item in (version, again)
    )
    assert before == after


def test_a_flat_rate_is_not_multiplied(publish, unit, tenant):
    seats = BillableUnitFactory(tenant=tenant, name="seats")
    version = publish(
        PriceDraft(seats, FLAT), PriceDraft(unit, PER_UNIT), dimension_pricing={"search": 2}
    )
    assert version.prices.get(unit=seats).terms == FLAT
    assert version.prices.get(unit=unit).terms["dimensionKey"] == "tool_name"


def test_credits_are_readable_for_whoever_reads_the_price(publish, unit):
    version = publish(PriceDraft(unit, {**PER_UNIT, "rate": "-1"}), credits_allowed=True)
    terms = version.prices.get().terms
    assert terms["creditsAllowed"] is True
    assert parse_terms(terms).charge(Decimal(102)) == -2


@pytest.mark.parametrize("terms", [MATRIX, DYNAMIC, CARDS])
@pytest.mark.parametrize(
    ("aggregation", "recurring", "allowed"),
    [
        ("COUNT", False, True),
        ("SUM", False, True),
        ("SUM", True, False),
        ("MAX", False, False),
        ("UNIQUE", False, False),
        ("AVG", False, False),
    ],
)
def test_single_events_are_priced_where_they_add_up(  # noqa: PLR0917 - three are the case
    create, tenant, terms, aggregation, recurring, allowed
):
    unit = BillableUnitFactory(
        tenant=tenant, aggregation=aggregation, recurring=recurring, event_field="f"
    )
    price = PriceDraft(unit, terms, path="metricConfigs[0]")
    if allowed:
        assert create(price).prices.get().terms["model"] == terms["model"]
        return
    with pytest.raises(Refused, match="prices single events") as refusal:
        create(price)
    assert [error.field for error in refusal.value.errors] == ["metricConfigs[0].model"]


@pytest.mark.parametrize(
    ("price", "fields", "field"),
    [
        ({"terms": FLAT, "group_by": ["a"]}, {}, "p.groupBy"),
        ({"terms": PER_UNIT, "group_by": ["a", "b", "c"]}, {}, "p.groupBy"),
        ({"terms": {**PER_UNIT, "groupBy": ["a"]}}, {}, "p.groupBy"),
        ({"terms": {**PER_UNIT, "divideBy": 2}}, {}, "p.divideBy"),
        ({"terms": {**CARDS, "minFee": 1}}, {"dimension_pricing": {"a": 2}}, "dimensionPricing"),
        (
            {"terms": {**CARDS, "minFee": 1}},
            {"dimension_pricing": {"a": 2}, "dimension_key": "k"},
            "dimensionKey",
        ),
        ({"terms": PER_UNIT, "currency": "EUR"}, {"currencies": [EUR]}, "p.currency"),
        ({"terms": FLAT, "rollover_periods": 1}, {}, "p.rolloverPeriods"),
        ({"terms": PER_UNIT, "rollover_periods": 121}, {}, "p.rolloverPeriods"),
        ({"terms": PER_UNIT, "rollover_cap": Decimal(1)}, {}, "p.rolloverCap"),
        (
            {"terms": PER_UNIT, "rollover_periods": 1, "rollover_cap_percent": Decimal(101)},
            {},
            "p.rolloverCapPercent",
        ),
        (
            {"terms": PER_UNIT, "rollover_periods": 1, "rollover_cap": Decimal(-1)},
            {},
            "p.rolloverCap",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_where_it_was_written(
    create, unit, price, fields, field
):
    with pytest.raises(Refused) as refusal:
        create(PriceDraft(unit, path="p", **price), **fields)
    assert [error.field for error in refusal.value.errors] == [field]
    assert RatePlan.objects.count() == UnitPrice.objects.count() == 0


def test_every_unit_is_priced_in_every_currency_before_it_is_published(create, unit, actor):
    draft = create(PriceDraft(unit, PER_UNIT), currencies=[EUR])
    with pytest.raises(Refused, match="'tokens' has no price in EUR"):
        rate_plans.publish_version(version=draft, actor=actor, now=NOW)
    draft.refresh_from_db()
    assert draft.status == "DRAFT"


def test_a_rollover_of_nothing_is_drafted_and_not_published(create, unit, actor):
    draft = create(PriceDraft(unit, PER_UNIT | {"includedFree": 0}, rollover_periods=1))
    with pytest.raises(Refused) as refusal:
        rate_plans.publish_version(version=draft, actor=actor, now=NOW)
    assert [error.field for error in refusal.value.errors] == ["metricConfigs[0].rolloverPeriods"]
    draft.refresh_from_db()
    assert draft.status == "DRAFT"


def test_a_currency_with_prices_stays(create, unit, actor):
    draft = create(
        PriceDraft(unit, PER_UNIT),
        PriceDraft(unit, PER_UNIT, currency="EUR"),
        currencies=[EUR],
    )
    with pytest.raises(Refused, match="'tokens' has a price in EUR, which has no fees"):
        rate_plans.edit_draft(version=draft, actor=actor, now=NOW, currencies=[])
    assert draft.currencies.count() == 1


def test_the_plans_own_currency_may_be_named(create, unit):
    draft = create(PriceDraft(unit, PER_UNIT, currency="USD"))
    assert draft.prices.get().currency == ""


def test_multipliers_that_do_not_go_with_a_price_are_refused_when_they_come(create, unit, actor):
    draft = create(PriceDraft(unit, {**CARDS, "minFee": 1}))
    fees = {"dimension_pricing": {"search": 2}}
    with pytest.raises(Refused, match="for 'tokens' it must be absent"):
        rate_plans.edit_draft(version=draft, actor=actor, now=NOW, fees=fees)
    draft.refresh_from_db()
    assert draft.dimension_pricing == {}
