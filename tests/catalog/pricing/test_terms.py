"""What holds for every pricing model."""

import json
from decimal import ROUND_UP, Context, Decimal, localcontext
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.money import EXACT, exact
from catalog.pricing import (
    MODELS,
    Charge,
    InvalidTerms,
    Part,
    Usage,
    parse_terms,
    parts_from_json,
    parts_to_json,
    usage_of,
)
from tests.catalog.pricing.strategies import (
    WIRE,
    counts,
    event_fields,
    prices,
    quantities,
    terms_of,
    usages,
)

ZERO = Decimal(0)
TIERS = [{"tierEnd": 10, "unitPrice": 2, "flatFee": 7}, {"tierEnd": -1, "unitPrice": 1}]
SHARES = [{"tierEnd": 10, "ratePercent": 2, "flatFee": 7}, {"tierEnd": -1, "ratePercent": 1}]
parts = st.builds(Part, quantities, counts)


def test_every_model_takes_part_in_the_properties():
    assert WIRE.keys() == MODELS.keys()


@given(terms_of(), st.lists(parts, max_size=8))
def test_charge_of_nothing_and_the_marginals_make_the_charge(terms, events):
    usage = Usage(ZERO)
    with exact():
        total = terms.charge(usage)
        for event in events:
            after = terms.add(usage, event)
            total += terms.marginal(usage, after)
            usage = after
        assert usage.quantity == sum((event.quantity for event in events), ZERO)
        assert usage.count == sum(event.count for event in events)
    assert total == terms.charge(usage)


events = st.lists(st.tuples(quantities, event_fields()), max_size=8)
wrappers = st.fixed_dictionaries(
    {},
    optional={
        "divideBy": st.integers(1, 5000),
        "rounding": st.sampled_from(["ROUND", "CEIL", "FLOOR"]),
        "multiplier": prices,
    },
)


@given(st.one_of(*WIRE.values()), wrappers, events, st.randoms())
def test_parts_are_bounded_and_know_no_order(wire, beside, events, chance):
    terms = parse_terms({**wire, **beside})
    parts = [terms.part_of(quantity, fields) for quantity, fields in events]
    usage = used = reduce(terms.add, parts, Usage(ZERO))
    assert used.parts == parts_from_json(parts_to_json(used.parts))
    assert len(used.parts) <= (7 if terms.keeps_parts else 0)
    chance.shuffle(parts)
    assert reduce(terms.add, parts, Usage(ZERO)) == used
    due = terms.charge(Usage(ZERO))
    with exact():
        for part in parts:
            before = terms.remove(usage, part)
            due += terms.marginal(before, usage)
            usage = before
        assert usage == Usage(ZERO)
        assert due == terms.charge(used) == sum((line.amount for line in terms.charges(used)), ZERO)


@given(terms_of(), usages)
def test_the_charge_is_the_sum_of_its_lines(terms, usage):
    lines = terms.charges(usage)
    with exact():
        assert sum((line.amount for line in lines), ZERO) == terms.charge(usage)
        for line in lines:
            assert line.unit_price is None or line.quantity * line.unit_price == line.amount


@given(terms_of(), quantities)
def test_a_bare_quantity_is_usage_without_transactions(terms, quantity):
    assert terms.charge(quantity) == terms.charge(Usage(quantity))
    assert terms.charges(quantity) == terms.charges(Usage(quantity))
    assert terms.marginal(ZERO, quantity) == terms.marginal(Usage(ZERO), Usage(quantity))


@given(terms_of("PER_UNIT", "FLAT_RATE", "PERCENTAGE", "INCLUDED_QUOTA", "GRADUATED", "MATRIX",
                "DYNAMIC", "GRADUATED_PERCENTAGE"), quantities, quantities, counts,
       counts)  # fmt: skip
def test_using_more_never_costs_less(terms, some, more, few, many):
    less = Usage(min(some, more), min(few, many))
    greater = Usage(max(some, more), max(few, many))
    assert terms.charge(less) <= terms.charge(greater)


@given(terms_of("PER_UNIT", "FLAT_RATE", "INCLUDED_QUOTA", "GRADUATED", "VOLUME_TIERED",
                "STAIRSTEP", "MATRIX", "GRADUATED_PERCENTAGE"), quantities)  # fmt: skip
def test_every_unit_is_on_exactly_one_line(terms, quantity):
    with exact():
        assert sum((line.quantity for line in terms.charges(quantity)), ZERO) == quantity


@given(terms_of())
def test_terms_survive_the_wire(terms):
    assert parse_terms(terms.as_dict()) == terms
    assert parse_terms(json.loads(json.dumps(terms.as_dict()))) == terms
    assert hash(parse_terms(terms.as_dict())) == hash(terms)


@given(terms_of(), usages)
def test_an_allowance_is_subtracted_once_whoever_does_it(terms, usage):
    net = EXACT.subtract(usage.quantity, min(usage.quantity, terms.included_free))
    bare = terms.without_allowance()
    assert bare.included_free == ZERO
    assert bare.charge(Usage(net, usage.count)) == terms.charge(usage)


@given(terms_of("PER_UNIT", "INCLUDED_QUOTA"), quantities)
def test_an_allowance_can_be_replaced(terms, allowance):
    replaced = terms.with_allowance(allowance)
    assert replaced.included_free == allowance
    assert replaced.charge(allowance) == ZERO
    assert replaced.with_allowance(terms.included_free) == terms


@given(terms_of("FLAT_RATE", "PERCENTAGE", "GRADUATED", "VOLUME_TIERED", "STAIRSTEP", "MATRIX",
                "DYNAMIC", "GRADUATED_PERCENTAGE"), quantities)  # fmt: skip
def test_models_without_an_allowance_refuse_one(terms, allowance):
    with pytest.raises(InvalidTerms, match=f"includedFree: {terms.model} has no allowance"):
        terms.with_allowance(allowance)
    assert terms.without_allowance() == terms
    assert terms.included_free == ZERO


@given(terms_of(*(model for model in MODELS if model != "FLAT_RATE")))
def test_only_money_that_is_due_once_per_period_is_prorated(terms):
    assert terms.prorated(Decimal(1), Decimal(3)) is terms


def everything_about(wire, before, after):
    terms = parse_terms(wire)
    return (
        repr(terms),
        terms.as_dict(),
        terms.charge(after),
        terms.charges(after),
        terms.marginal(before, after),
        terms.add(before, Part(after.quantity)),
        terms.without_allowance().as_dict(),
        terms.prorated(Decimal(10), Decimal(31)).as_dict(),
    )


def same_under_a_hostile_context(wire, before, after):
    expected = everything_about(wire, before, after)
    with localcontext(Context(prec=2, rounding=ROUND_UP, Emax=3, Emin=-3, traps=[])):
        found = everything_about(wire, before, after)
    return found == expected


@pytest.mark.parametrize(
    "wire",
    [
        {"model": "PER_UNIT", "rate": "0.123456789012", "includedFree": "12.3456"},
        {"model": "FLAT_RATE", "flatRate": "1234.56789"},
        {"model": "PERCENTAGE", "ratePercent": "12.3456", "freeAmount": "1.234", "fixedFee": 1234},
        {"model": "INCLUDED_QUOTA", "includedFree": "1.234", "rate": "1.234"},
        {"model": "INCLUDED_QUOTA", "includedFree": "1.23", "rate": "1.23", "blockSize": "1.23"},
        {"model": "GRADUATED", "tiers": [{**tier, "flatFee": "1.234"} for tier in TIERS]},
        {"model": "VOLUME_TIERED", "tiers": [{**tier, "flatFee": "1.234"} for tier in TIERS]},
        {"model": "STAIRSTEP", "steps": [{"tierEnd": "1.23", "price": 1}], "overageRate": "1.23"},
        {"model": "GRADUATED_PERCENTAGE", "tiers": [{**tier, "flatFee": "1.2"} for tier in SHARES]},
        {"model": "MATRIX", "dimensions": ["a"], "defaultRate": "1.234"},
        {"model": "DYNAMIC", "amountField": "a", "markupPercent": "12.34"},
        {"model": "PERCENTAGE", "ratePercent": "12.3456", "minPerTransaction": "1.234"},
        {"model": "PER_UNIT", "rate": "1.234", "divideBy": 7, "rounding": "CEIL", "multiplier": 3},
    ],
)
def test_the_ambient_decimal_context_changes_no_digit(wire):
    before = Usage(Decimal("9876.54321"), 123)
    after = Usage(Decimal("123456789012345678901234.123456789012"), 12345)
    assert same_under_a_hostile_context(wire, before, after)


@pytest.mark.parametrize("model", MODELS)
@given(data=st.data(), before=usages, after=usages)
def test_the_ambient_decimal_context_changes_nothing(model, data, before, after):
    assert same_under_a_hostile_context(data.draw(WIRE[model]), before, after)


@pytest.mark.parametrize(
    ("terms", "charge"),
    [
        ({"model": "PER_UNIT", "rate": 3}, "0"),
        ({"model": "FLAT_RATE", "flatRate": 20}, "20"),
        ({"model": "PERCENTAGE", "ratePercent": "2.9"}, "0"),
        ({"model": "PERCENTAGE", "ratePercent": "2.9", "minFee": 5}, "5"),
        ({"model": "INCLUDED_QUOTA", "includedFree": 0, "rate": 1, "blockSize": 10}, "0"),
        ({"model": "GRADUATED", "tiers": TIERS}, "0"),
        ({"model": "GRADUATED", "tiers": TIERS, "billZeroTier": True}, "7"),
        ({"model": "VOLUME_TIERED", "tiers": TIERS}, "0"),
        ({"model": "VOLUME_TIERED", "tiers": TIERS, "billZeroTier": True}, "7"),
        ({"model": "STAIRSTEP", "steps": [{"tierEnd": -1, "price": 9}]}, "0"),
        ({"model": "MATRIX", "dimensions": ["a"], "defaultRate": 1}, "0"),
        ({"model": "DYNAMIC", "amountField": "a"}, "0"),
        ({"model": "PERCENTAGE", "ratePercent": 1, "minPerTransaction": 1}, "0"),
        ({"model": "GRADUATED_PERCENTAGE", "tiers": SHARES}, "0"),
        ({"model": "GRADUATED_PERCENTAGE", "tiers": SHARES, "billZeroTier": True}, "7"),
    ],
)
def test_what_is_due_when_nothing_was_used(terms, charge):
    parsed = parse_terms(terms)
    assert parsed.charge(ZERO) == Decimal(charge)
    assert parsed.charge(Decimal(-1)) == Decimal(charge)  # below zero is priced as zero
    assert sum(line.amount for line in parsed.charges(ZERO)) == Decimal(charge)
    assert sum(line.amount for line in parsed.charges(Decimal(-1))) == Decimal(charge)


def test_no_digit_of_a_36_digit_quantity_at_a_12_decimal_rate_is_lost():
    quantity = Decimal("123456789012345678901234.123456789012")
    terms = parse_terms({"model": "PER_UNIT", "rate": "98765432109876543210.987654321098"})
    product = 123456789012345678901234123456789012 * 98765432109876543210987654321098
    exactly = Decimal(f"{product}E-24")
    assert len(exactly.as_tuple().digits) > 60

    assert terms.charge(quantity) == exactly
    assert terms.charges(quantity)[0].amount == exactly
    assert Charge.of("units", quantity, terms.rate).amount == exactly
    assert terms.marginal(ZERO, quantity) == exactly
    assert terms.add(quantity, Part(Decimal("1E-12"))).quantity == Decimal(
        "123456789012345678901234.123456789013"
    )


def test_a_bare_quantity_is_one_part_and_nothing_is_none():
    quantity = Decimal(5)
    assert usage_of(quantity) == Usage(quantity, 0, (Part(quantity, count=0),))
    assert usage_of(ZERO) == Usage(ZERO)
    usage = Usage(quantity, 3)
    assert usage_of(usage) is usage


def test_only_a_blocking_quota_is_a_hard_limit():
    quota = {"model": "INCLUDED_QUOTA", "includedFree": 10, "rate": 1}
    assert parse_terms({**quota, "ovBehavior": "BLOCK"}).has_hard_limit
    assert not parse_terms(quota).has_hard_limit
    assert not parse_terms({"model": "PER_UNIT", "rate": 1}).has_hard_limit
