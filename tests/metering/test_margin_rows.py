from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from metering.models import MarginGuard, RateCard
from tests.factories import BillableUnitFactory

START = datetime(2026, 3, 1, tzinfo=UTC)


def card(unit, **fields):
    fields = {"provider": "openai", "unit_price": "0.01", "currency": "USD"} | fields
    fields = {"valid_from": START, "created_at": START} | fields
    return RateCard.objects.create(tenant=unit.tenant, unit=unit, **fields)


def test_two_cards_never_hold_for_the_same_at_once(db):
    unit = BillableUnitFactory()
    raised = START + timedelta(days=14)
    card(unit, valid_until=raised)
    card(unit, valid_from=raised, unit_price="0.02")
    card(unit, currency="EUR")
    card(unit, dimension='{"model":"gpt-4o"}')
    card(BillableUnitFactory(tenant=unit.tenant))
    with pytest.raises(IntegrityError, match="do_not_overlap"), transaction.atomic():
        card(unit, valid_from=raised + timedelta(days=1), valid_until=raised + timedelta(days=2))


def test_a_guard_is_made_with_the_levels_of_the_specification(db):
    guard = MarginGuard(code="all")
    levels = (guard.warn_below, guard.throttle_below, guard.block_below)
    assert levels == (Decimal(20), Decimal(10), Decimal(0))
    assert (guard.mode, guard.scope) == ("ENFORCE", "ALL")
    assert (guard.throttle_rate, guard.cost_floor, guard.retry_after) == (100, Decimal(1), 1800)


@pytest.mark.parametrize(
    "fields",
    [
        {"warn_below": 5},
        {"block_below": 15},
        {"throttle_rate": 101},
        {"cost_floor": -1},
        {"scope": "PLAN"},
        {"scope": "COHORT", "cohort": "TAG"},
        {"cohort_value": "trial"},
    ],
)
def test_a_guard_that_contradicts_itself_is_not_stored(db, fields):
    tenant = BillableUnitFactory().tenant
    with pytest.raises(IntegrityError), transaction.atomic():
        MarginGuard.objects.create(tenant=tenant, code="g", created_at=START, **fields)
