"""A period counted again: from its stored events and from raw bodies it comes to the same."""

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from catalog.models import BillableUnit
from metering.models import RawPayload, RunningTotal, UniqueValue, UsageEvent
from metering.recount import recount
from metering.recount.levels import Counted, Level
from tests.clients import operator_client
from tests.factories import BillableUnitFactory, RatePlanVersionFactory, TenantFactory
from tests.metering.conftest import TIERS, subscribe
from tests.metering.events import event

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def recounted(seller, **more):
    return list(recount(tenant=seller.tenant, month=MARCH, **more))


def differences(seller, **more):
    return [
        (one.what, one.said, one.found) for c in recounted(seller, **more) for one in c.differences
    ]


@pytest.fixture
def busy(seller):
    """Every aggregation, with duplicates, conflicts, refusals and made keys among the events."""
    users = BillableUnitFactory(
        tenant=seller.tenant, name="users", aggregation="UNIQUE", event_field="user"
    )
    peak = BillableUnitFactory(tenant=seller.tenant, name="peak", aggregation="MAX")
    version = RatePlanVersionFactory(
        tenant=seller.tenant,
        prices={
            users: {"model": "PER_UNIT", "rate": "1"},
            peak: {"model": "GRADUATED", "tiers": TIERS},
        },
        published=True,
    )
    subscribe(seller.tenant, "cust_2", version)
    seller.send(event(1), event(2), event(2), event(3, quantity=-1), event(4, customerId="nobody"))
    seller.send(event(1), event(2, quantity=9), event(5, idempotencyKey=...))
    seller.drain()
    seller.count(
        *(event(n, metricName="tokens", quantity=f"{n}.25") for n in range(10, 40)),
        *(
            event(n, customerId="cust_2", metricName="users", metadata={"user": n % 3})
            for n in range(40, 50)
        ),
        *(event(n, customerId="cust_2", metricName="peak", quantity=n % 7) for n in range(50, 60)),
    )
    return seller


def test_everything_comes_to_the_same_from_events_and_from_raw_bodies(busy):
    found = recounted(busy)
    assert len(found) == 4
    assert all(one.from_raw for one in found)
    assert differences(busy) == []


def test_one_subscription_can_be_chosen(busy):
    total = RunningTotal.objects.latest("id")
    found = recounted(busy, subscription_id=total.subscription_id)
    assert {one.total.subscription_id for one in found} == {total.subscription_id}
    assert differences(busy, subscription_id=total.subscription_id) == []
    assert recounted(busy, subscription_id=uuid4()) == []


def test_a_period_begins_in_its_own_month(busy):
    assert not list(recount(tenant=busy.tenant, month=datetime(2026, 4, 1, tzinfo=UTC)))
    assert not list(recount(tenant=TenantFactory(), month=MARCH))


def test_a_changed_event_is_found_by_each_thing_that_it_breaks(seller):
    seller.count(*(event(n, metricName="tokens", quantity=5) for n in range(3)))
    UsageEvent.objects.filter(position=2).update(quantity=6)
    found = {what: (said, found) for what, said, found in differences(seller)}
    assert found["quantity"] == ("15", "16")
    assert found["revenue"] == ("0.15", "0.16")
    assert "digest" in found
    assert "position 2" in found["events"][1]
    assert "quantity from raw bodies" not in found


def test_a_changed_total_is_found_from_raw_bodies_as_well(seller):
    seller.count(event(1), event(2))
    RunningTotal.objects.update(quantity=3, revenue="0.06")
    assert differences(seller) == [
        ("quantity", "3", "2"),
        ("revenue", "0.06", "0.04"),
        ("quantity from raw bodies", "3", "2"),
        ("revenue from raw bodies", "0.06", "0.04"),
    ]


def test_a_missing_event_is_found(seller):
    seller.count(event(1), event(2), event(3))
    UsageEvent.objects.filter(position=2).delete()
    found = {what: (said, found) for what, said, found in differences(seller)}
    assert found["position"] == ("3", "2")
    assert found["count"] == ("3", "2")


def test_without_raw_bodies_the_stored_events_are_compared_alone(busy):
    RawPayload.objects.all().delete()
    found = recounted(busy)
    assert not any(one.from_raw for one in found)
    assert differences(busy) == []
    assert not any(one.from_raw for one in recounted(busy, raw=False))


def test_a_held_event_is_in_no_total(seller):
    seller.count(event(1))
    RunningTotal.objects.update(
        billed_position=1, billed_quantity=1, billed_event_count=1, billed_revenue="0.02"
    )
    seller.count(event(2))
    assert differences(seller) == []


def test_a_repeat_without_time_in_the_next_period_counts_in_the_first(seller):
    seller.count(event(1, occurredAt=...))
    seller.tenant.clock_frozen_at = datetime(2026, 4, 2, tzinfo=UTC)
    seller.tenant.save()
    seller.count(event(1, occurredAt=...))
    seller.count(event(2, occurredAt=...))
    assert differences(seller) == []
    april = list(recount(tenant=seller.tenant, month=datetime(2026, 4, 1, tzinfo=UTC)))
    assert [one.differences for one in april] == [()]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("COUNT", "2"),
        ("SUM", "6"),
        ("MAX", "4"),
        ("UNIQUE", "2"),
        ("LATEST", "4"),
        ("AVG", "3"),
        ("PERCENTILE_95", "4"),
    ],
)
def test_what_is_taken_back_leaves_the_level_that_the_others_make(db, aggregation, expected):
    unit = BillableUnitFactory.build(aggregation=aggregation)
    level = Level(unit.aggregation, remembers=True)
    for quantity, value in ((2, "a"), (9, "b"), (4, "b")):
        level.add(Counted(Decimal(quantity), value, moment=quantity))
    level.take_back(Counted(Decimal(9), "b", moment=9))
    assert (level.quantity, level.count) == (Decimal(expected), 2)
    level.take_back(Counted(Decimal(4), "b", moment=4))
    level.take_back(Counted(Decimal(2), "a", moment=2))
    assert (level.quantity, level.count) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_the_command_says_same_or_fails(busy):
    said = StringIO()
    call_command("replay_usage", tenant=busy.tenant.slug, period="2026-03", check=True, stdout=said)
    assert "SAME  4 totals, 4 of them from raw bodies too" in said.getvalue()
    UniqueValue.objects.all().delete()
    users = BillableUnit.objects.get(name="users")
    RunningTotal.objects.filter(unit_id=users.id).update(quantity=4)
    said = StringIO()
    with pytest.raises(CommandError, match="1 differ from their events"):
        call_command(
            "replay_usage", tenant=str(busy.tenant.pk), period="2026-03", check=True, stdout=said
        )
    assert "the total says 4, found 3" in said.getvalue()
    said = StringIO()
    call_command("replay_usage", tenant=busy.tenant.slug, period="2026-03", stdout=said)
    assert said.getvalue().count("same") == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "wrong", [{"tenant": "nobody"}, {"period": "March"}, {"subscription": "none"}]
)
def test_the_command_names_what_it_does_not_understand(wrong):
    tenant = TenantFactory()
    with pytest.raises(CommandError):
        call_command("replay_usage", **({"tenant": tenant.slug, "period": "2026-03"} | wrong))


@pytest.mark.parametrize("metric", ["calls", "tokens", "users", "peak"])
def test_what_was_taken_back_or_amended_is_counted_so_again(busy, metric):
    client = operator_client(busy.tenant)
    unit = BillableUnit.objects.get(name=metric)
    first, second = UsageEvent.objects.filter(unit_id=unit.id).order_by("-quantity", "id")[:2]
    reason = {"reason": "it was wrong"}
    voided = client.post(f"/api/v1/usage-events/{first.pk}/void", reason, format="json")
    assert voided.status_code in {200, 201}, voided.content
    assert differences(busy) == []
    amended = client.post(
        f"/api/v1/usage-events/{second.pk}/amend", {**reason, "quantity": 3}, format="json"
    )
    assert amended.status_code in {200, 201}, amended.content
    assert differences(busy) == []
    told = client.get(f"/api/v1/usage-events/{first.pk}").json()
    assert [one["kind"] for one in told["corrections"]] == ["VOID"]
