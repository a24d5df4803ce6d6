"""What a unit costs: by the cards that hold, when the event occurred, exactly."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aforo.tenancy.models import AuditEntry
from catalog.models import BillableUnit
from metering.margin.unit_costs import CardPrice, UnitCosts
from metering.models import RateCard
from metering.recount import recount
from tests.clients import operator_client
from tests.metering.events import event, rows, the_total
from tests.metering.ledger import assert_nothing_is_lost

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
RAISED = datetime(2026, 3, 15, tzinfo=UTC)
LARGE = {"model": "large"}
CARD = {"provider": "openai", "metricName": "tokens", "currency": "USD", "validFrom": MARCH}


@pytest.fixture
def operator(seller):
    return operator_client(seller.tenant)


def add(operator, price, **fields):
    answer = operator.post("/api/v1/rate-cards", CARD | {"unitPrice": price} | fields)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def used(number, **fields):
    return event(number, **{"metricName": "tokens", "quantity": 10} | fields)


# --- pure -----------------------------------------------------------------------------------


def test_the_card_with_most_keys_counts_then_the_catalog():
    one, two, three = (Decimal(n) for n in (1, 2, 3))
    costs = UnitCosts(
        [
            CardPrice("", one, MARCH, RAISED),
            CardPrice('{"model":"large"}', two, MARCH),
            CardPrice('{"model":"large","type":"output"}', three, MARCH),
        ],
        otherwise=Decimal(9),
    )
    at = datetime(2026, 3, 2, tzinfo=UTC)
    assert costs.of({}, at) == one
    assert costs.of({"model": "large"}, at) == two
    assert costs.of({"model": "large", "type": "output"}, at) == three
    assert costs.of({"model": "small", "type": "output"}, at) == one
    assert costs.of({}, RAISED) == Decimal(9)
    assert costs.of({}, datetime(2026, 2, 28, tzinfo=UTC)) == Decimal(9)


# --- through the drain ----------------------------------------------------------------------


def test_a_price_raised_in_the_middle_of_a_month_applies_from_its_date(seller, operator):
    add(operator, "0.5")
    second = add(operator, "0.75", validFrom=RAISED)
    first = RateCard.objects.get(unit_price="0.5")
    assert first.valid_until == RAISED
    assert second["validUntil"] is None
    seller.count(
        used(1, occurredAt="2026-03-14T23:59:59.999999Z"),
        used(2, occurredAt="2026-03-15T00:00:00Z"),
    )
    assert sorted(row.cost for row in rows()) == [Decimal(5), Decimal("7.5")]
    assert the_total().cost == Decimal("12.5")
    assert_nothing_is_lost(2)
    (compared,) = recount(tenant=seller.tenant, month=MARCH)
    assert compared.differences == ()


def test_each_model_and_kind_of_token_has_its_own_price(seller, operator):
    add(operator, "0.001")
    add(operator, "0.01", dimensions=LARGE)
    add(operator, "0.03", dimensions=LARGE | {"type": "output"})
    seller.count(
        used(1),
        used(2, metadata=LARGE),
        used(3, metadata=LARGE | {"type": "output"}),
        used(4, metadata=LARGE | {"type": "input"}),
        used(5, metadata={"model": "small"}),
    )
    costs = {row.idempotency_key: str(row.cost) for row in rows()}
    expected = {"key-1": "0.01", "key-2": "0.1", "key-3": "0.3", "key-4": "0.1", "key-5": "0.01"}
    assert {key: Decimal(cost) for key, cost in costs.items()} == {
        key: Decimal(cost) for key, cost in expected.items()
    }
    assert the_total().cost == Decimal("0.52")


def test_cards_of_another_currency_cost_nothing_here(seller, operator):
    BillableUnit.objects.filter(name="tokens").update(unit_cost="0.2")
    add(operator, "0.5", currency="EUR")
    seller.count(used(1))
    assert the_total().cost == Decimal(2)


def test_usage_that_is_taken_back_takes_its_own_cost_back(seller, operator):
    add(operator, "0.5")
    seller.count(used(1), used(2))
    row = next(row for row in rows() if row.idempotency_key == "key-1")
    body = {"reason": "sent by mistake"}
    answer = operator.post(f"/api/v1/usage-events/{row.pk}/void", body)
    assert answer.status_code in {200, 201}, answer.json()
    assert the_total().cost == Decimal(5)


# --- the API --------------------------------------------------------------------------------


def test_two_cards_for_the_same_at_once_are_a_conflict(operator):
    add(operator, "0.5", validUntil=RAISED)
    answer = operator.post("/api/v1/rate-cards", CARD | {"unitPrice": "0.6"})
    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")
    assert RateCard.objects.count() == 1


def test_a_card_that_holds_is_ended_and_one_to_come_is_deleted(seller, operator):
    card = add(operator, "0.5")
    path = f"/api/v1/rate-cards/{card['id']}"
    assert operator.delete(path).status_code == 409
    ended = operator.patch(path, {"validUntil": "2026-04-01T00:00:00Z"})
    assert ended.json()["validUntil"] == "2026-04-01T00:00:00Z"
    later = add(operator, "0.6", validFrom="2026-04-01T00:00:00Z")
    assert operator.delete(f"/api/v1/rate-cards/{later['id']}").status_code == 204
    listed = operator.get("/api/v1/rate-cards?metricName=tokens&at=2026-03-20T00:00:00Z")
    assert [row["unitPrice"] for row in listed.json()["content"]] == ["0.5"]
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"RATE_CARD_ADDED", "RATE_CARD_ENDED", "RATE_CARD_DELETED"} <= actions


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"unitPrice": "-1"}, 422),
        ({"currency": "XXQ"}, 422),
        ({"validUntil": "2026-03-01T00:00:00Z"}, 422),
        ({"metricName": "unheard"}, 404),
        ({"dimensions": {"": "x"}}, 422),
    ],
)
def test_a_card_that_says_nonsense_is_refused(operator, fields, status):
    answer = operator.post("/api/v1/rate-cards", CARD | {"unitPrice": "1"} | fields)
    assert answer.status_code == status, answer.json()
    assert not RateCard.objects.exists()
