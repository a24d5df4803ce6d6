"""Usage told from stored events alone, for every aggregation and every position."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from billing.replayed_usage import Counting, UsageAt
from catalog.models import BillableUnit
from catalog.pricing import parse_terms
from metering.proof import microseconds
from metering.selectors.events import CountedEvent

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 10
SPAN = (microseconds(START), microseconds(START + timedelta(days=DAYS)))
NO_ID = UUID(int=0)
USERS = ("a", "b", "a", "c")
QUANTITIES = (4, 10, 2, 6)  # on days 0, 2, 4, 6


def event(position, quantity, user):
    at = START + timedelta(days=2 * (position - 1))
    values = dict.fromkeys(CountedEvent._fields) | {
        "position": position,
        "quantity": Decimal(quantity),
        "occurred_at": at,
        "idempotency_key": f"key-{position}",
        "metadata": f'{{"user":"{user}","amount":"{quantity}"}}',
        "source": "API",
    }
    return CountedEvent(**values)


EVENTS = [event(*one) for one in zip((1, 2, 3, 4), QUANTITIES, USERS, strict=True)]


def usage_at(aggregation, at, *, voids=None, **counting):
    unit = BillableUnit(aggregation=aggregation, event_field="user")
    held = UsageAt(Counting(unit, span=SPAN, **counting), voids or {}, at=at)
    for one in EVENTS:
        held.add(one)
    return held.usage


@pytest.mark.parametrize(
    ("aggregation", "quantity", "before"),
    [
        ("COUNT", 4, 2),
        ("SUM", 22, 14),
        ("MAX", 10, 10),
        ("UNIQUE", 3, 2),
        ("LATEST", 6, 10),
        ("AVG", "5.5", 7),
        ("PERCENTILE_95", 10, 10),
        ("WEIGHTED_SUM", "5.6", "8.8"),  # 4 for 2 days, 10 for 2, 2 for 2, 6 for 4
    ],
)
def test_every_aggregation_is_told_from_events_at_any_position(aggregation, quantity, before):
    assert usage_at(aggregation, 4).quantity == Decimal(quantity)
    assert usage_at(aggregation, 2).quantity == Decimal(before)
    assert usage_at(aggregation, 4).count == 4


@pytest.mark.parametrize(
    ("aggregation", "quantity"), [("SUM", 23), ("MAX", 10), ("LATEST", 6), ("UNIQUE", 4)]
)
def test_recurring_units_begin_where_they_ended(aggregation, quantity):
    carried = {"carried": Decimal(1), "carried_values": ("somebody else's",)}
    assert usage_at(aggregation, 4, **carried).quantity == quantity
    assert usage_at(aggregation, 0, **carried).quantity == 1


def test_what_was_taken_back_by_then_does_not_count():
    assert usage_at("SUM", 4, voids={2: 4}).quantity == 12
    assert usage_at("MAX", 4, voids={2: 4}).quantity == 6
    assert usage_at("SUM", 3, voids={2: 4}).quantity == 16


def test_terms_that_price_single_events_get_their_parts():
    terms = parse_terms({"model": "DYNAMIC", "amountField": "amount"})
    assert terms.charge(usage_at("COUNT", 4, terms=terms)) == 22
