from decimal import Decimal

import pytest

from catalog.selectors.agreements import AgreedPrice, agreements_of, terms_under
from tests.factories import (
    PER_UNIT,
    BillableUnitFactory,
    ContractFactory,
    ContractPhaseFactory,
    ContractPriceFactory,
)

ALLOWANCE = AgreedPrice(terms=None, included_free=Decimal("500.000000000000"))


@pytest.mark.django_db
def test_an_agreement_says_what_its_phase_and_its_contract_say(django_assert_num_queries):
    contract = ContractFactory(minimum_spend=1200, maximum_spend=5000, name="Acme 2026")
    unit = BillableUnitFactory(tenant=contract.tenant)
    phase = ContractPhaseFactory(
        contract=contract, minimum_spend=100, discount_percent=5, prices={unit: PER_UNIT}
    )
    with django_assert_num_queries(2):
        agreement = agreements_of([phase.pk])[phase.pk]
    assert (agreement.contract_id, agreement.name, agreement.currency) == (
        contract.pk,
        "Acme 2026",
        "USD",
    )
    assert (agreement.term_start, agreement.term_end) == (contract.start_at, contract.end_at)
    assert (agreement.term_minimum, agreement.term_maximum) == (1200, 5000)
    assert (agreement.minimum_spend, agreement.maximum_spend) == (100, None)
    assert (agreement.discount_percent, agreement.discount_amount) == (5, 0)
    assert agreement.prices == {unit.pk: AgreedPrice(PER_UNIT, None)}


@pytest.mark.django_db
def test_prices_are_those_of_the_phase_alone():
    contract = ContractFactory()
    priced = ContractPriceFactory(
        phase__contract=contract, phase__end_at=contract.start_at.replace(month=7)
    ).phase
    plain = ContractPhaseFactory(contract=contract, start_at=priced.end_at)
    found = agreements_of([priced.pk, plain.pk])
    assert [len(found[phase.pk].prices) for phase in (priced, plain)] == [1, 0]


def test_no_phases_are_no_statement():
    assert agreements_of([]) == {}


@pytest.mark.parametrize(
    ("price", "terms", "holding"),
    [
        (None, PER_UNIT, PER_UNIT),
        (AgreedPrice({"model": "FLAT_RATE", "flatRate": "5"}, None), PER_UNIT, "its own"),
        (ALLOWANCE, PER_UNIT, {**PER_UNIT, "includedFree": "500"}),
        (ALLOWANCE, {**PER_UNIT, "includedFree": "10"}, {**PER_UNIT, "includedFree": "500"}),
        (
            ALLOWANCE,
            {"model": "FLAT_RATE", "flatRate": "5"},
            {"model": "FLAT_RATE", "flatRate": "5"},
        ),
    ],
)
def test_a_price_replaces_terms_or_the_allowance_alone(price, terms, holding):
    expected = price.terms if holding == "its own" else holding
    assert terms_under(price, terms) == expected
