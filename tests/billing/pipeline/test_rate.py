"""Rate: base fees and usage fees, and the charges under them."""

from decimal import Decimal

import pytest
from hypothesis import given as holds_for

from aforo.money import EXACT, ZERO
from billing.pipeline import LineType, run
from catalog import pricing
from catalog.pricing import Charge
from catalog.pricing.dimensions import dimension_of
from catalog.selectors.prices import with_rollover
from tests.billing.pipeline.build import BLOCK, MONTH, PER_UNIT, facts, plan, shown, usage_fact
from tests.billing.pipeline.strategies import any_facts

TIERS = [
    {"tierEnd": 1000, "unitPrice": "0.010"},
    {"tierEnd": 10000, "unitPrice": "0.008"},
    {"tierEnd": -1, "unitPrice": "0.005"},
]
LARGEST = "999999999999999999999999.999999999999"


def rated(*plans, usage=(), **fields):
    return run(facts(*plans, usage=usage, **fields)).draft


@pytest.mark.parametrize(
    ("terms", "quantity", "amount"),
    [
        ({"model": "PER_UNIT", "rate": "0.01", "includedFree": 1000}, "1200", "2.00"),
        ({"model": "FLAT_RATE", "flatRate": 20}, "0", "20.00"),
        ({"model": "FLAT_RATE", "flatRate": 20}, "7", "20.00"),
        ({"model": "INCLUDED_QUOTA", "includedFree": 1000, "rate": "0.5"}, "1200.5", "100.25"),
        (
            {"model": "INCLUDED_QUOTA", "includedFree": 1000, "rate": "0.5", "blockSize": 100},
            "1201",
            "1.50",
        ),
        (BLOCK, "5000", "0.00"),
        (BLOCK | {"ovBehavior": "IGNORE"}, "5000", "0.00"),
        ({"model": "GRADUATED", "tiers": TIERS}, "15000", "107.00"),
        ({"model": "VOLUME_TIERED", "tiers": TIERS}, "15000", "75.00"),
        ({"model": "STAIRSTEP", "steps": [{"tierEnd": -1, "price": 9}]}, "3", "9.00"),
        ({"model": "STAIRSTEP", "steps": [{"tierEnd": -1, "price": 9}]}, "0", "0.00"),
        ({"model": "PERCENTAGE", "ratePercent": "2.9", "minFee": 5}, "0", "5.00"),
    ],
)
def test_each_model_prices_its_usage_once_the_allowance_is_off(terms, quantity, amount):
    (line,) = rated(usage=[usage_fact(quantity, terms)]).lines
    assert (line.type, str(line.amount)) == (LineType.USAGE_FEE, f"{amount} USD")
    assert line.quantity == Decimal(quantity)


def test_percentage_counts_transactions():
    terms = {"model": "PERCENTAGE", "ratePercent": "2.9", "fixedFee": "0.30"}
    (line,) = rated(usage=[usage_fact("1000", terms, event_count=10)]).lines
    assert str(line.amount) == "32.00 USD"
    assert [charge.label for charge in line.charges] == ["2.9 %", "transactions"]


@pytest.mark.parametrize(
    ("exact", "amount"),
    [("0.005", "0.00"), ("0.015", "0.02"), ("0.0250001", "0.03"), ("0.0349", "0.03")],
)
def test_a_line_is_rounded_once_to_the_even_neighbour(exact, amount):
    (line,) = rated(usage=[usage_fact("1", {"model": "PER_UNIT", "rate": exact})]).lines
    assert (line.exact_amount, str(line.amount)) == (Decimal(exact), f"{amount} USD")


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "1"), ("USD", "1.23"), ("KWD", "1.234")])
def test_each_currency_has_its_own_minor_unit(currency, amount):
    usage = [usage_fact("1", {"model": "PER_UNIT", "rate": "1.2344"})]
    (line,) = rated(usage=usage, currency=currency).lines
    assert str(line.amount) == f"{amount} {currency}"


def test_no_digit_of_the_largest_quantity_is_lost():
    terms = {"model": "PER_UNIT", "rate": "0.123456789012", "includedFree": 1}
    (line,) = rated(usage=[usage_fact(LARGEST, terms)]).lines
    assert line.exact_amount == Decimal("123456789011999999999999.876543210987876543210988")
    assert str(line.amount) == "123456789011999999999999.88 USD"


def test_free_tiered_and_capped_units_explain_the_line():
    quota = {"model": "INCLUDED_QUOTA", "includedFree": 1000, "rate": "0.5", "blockSize": 100}
    usage = [
        usage_fact("1201", quota, unit="a", number=1),
        usage_fact("1500", {"model": "GRADUATED", "tiers": TIERS}, unit="b", number=2),
        usage_fact("1100", BLOCK, unit="c", number=3),
    ]
    lines = rated(usage=usage).lines
    assert [line.charges for line in lines] == [
        (
            Charge.of("included", Decimal(1000), ZERO),
            Charge.fee("overage, 3 blocks of 100 at 0.5", Decimal("1.5"), quantity=Decimal(201)),
        ),
        (
            Charge.of("tier 1", Decimal(1000), Decimal("0.010")),
            Charge.of("tier 2", Decimal(500), Decimal("0.008")),
        ),
        (
            Charge.of("included", Decimal(1000), ZERO),
            Charge.of("beyond the hard cap, not billable", Decimal(100), ZERO),
        ),
    ]


def test_base_fees_and_usage_stand_by_plan():
    draft = rated(
        plan(1, name="Tokens", base_fee=49),
        plan(2, name="Calls"),
        usage=[
            usage_fact("100", of=1),
            usage_fact("300", of=2),
            usage_fact("0", unit="x", number=3),
        ],
    )
    assert shown(draft) == [
        ("Calls: calls", "3.00 USD"),
        ("Tokens: base fee", "49.00 USD"),
        ("Tokens: calls", "1.00 USD"),
        ("Tokens: x", "0.00 USD"),
    ]


def test_a_partial_period_owes_its_seconds_of_the_fees_and_all_of_the_usage():
    draft = rated(
        plan(base_fee=49),
        usage=[
            usage_fact("100", {"model": "FLAT_RATE", "flatRate": 20}, unit="flat"),
            usage_fact("100", PER_UNIT, unit="metered", number=2),
        ],
        seconds=MONTH / 3,
    )
    clause = ", prorated to 864,000 of 2,592,000 seconds"
    assert shown(draft) == [
        (f"Plan 1: base fee{clause}", "16.33 USD"),
        (f"Plan 1: flat{clause}", "6.67 USD"),
        ("Plan 1: metered", "1.00 USD"),
    ]
    assert draft.lines[0].exact_amount == Decimal("16.333333333333")


@pytest.mark.parametrize(
    ("unit", "unit_label", "subject"),
    [
        ("storage", "GB", "storage (GB)"),
        ("input_tokens", "Token", "input_tokens"),
        ("input_tokens", "input token", "input_tokens"),
        ("calls", "", "calls"),
    ],
)
def test_a_usage_line_names_its_measure_unless_its_unit_does(unit, unit_label, subject):
    (line,) = rated(usage=[usage_fact("1", unit=unit, unit_label=unit_label)]).lines
    assert line.description == f"Plan 1: {subject}"


def test_long_names_leave_room_for_the_rest():
    draft = rated(
        plan(name="p" * 200, base_fee=1),
        usage=[
            usage_fact(
                "1",
                {"model": "FLAT_RATE", "flatRate": 2},
                unit="u" * 200,
                dimension=dimension_of(
                    ["region", "zone"], {"region": "d" * 900, "zone": "e" * 900}
                ),
                unit_label="l" * 40,
            )
        ],
        seconds=Decimal(1),
    )
    assert all(len(line.description) <= 400 for line in draft.lines)
    assert all(line.description.endswith("seconds") for line in draft.lines)


@holds_for(any_facts())
def test_a_usage_line_is_what_its_events_were_priced_at(given):
    """But for what is due once per period, which no event is priced at."""
    for line in run(given).draft.lines:
        if line.fact:
            gross = pricing.Usage(line.fact.quantity, line.fact.event_count, line.fact.parts)
            nothing = pricing.Usage(ZERO)
            terms = with_rollover(line.fact.terms, line.fact.rollover)
            assert line.exact_amount == line.terms.charge(gross)
            assert line.terms.marginal(nothing, gross) == terms.marginal(nothing, gross)


@holds_for(any_facts())
def test_charges_add_up_to_their_line(given):
    for line in run(given).draft.lines:
        if line.type is LineType.USAGE_FEE:
            due = ZERO
            for charge in line.charges:
                due = EXACT.add(due, charge.amount)
            assert due == line.exact_amount
