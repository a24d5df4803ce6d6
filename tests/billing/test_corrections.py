"""Events taken back and amended: totals, marginals and invoices as if they had never come."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aforo.errors import Conflict, NotFound, Refused
from aforo.money import plain
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import BillRunEventIndex
from catalog.pricing import Usage, parse_terms
from metering.models import Correction, LateTotal, RunningTotal, UsageEvent
from metering.selectors.accounts import account_of
from metering.services import partitions
from metering.services.corrections import amend_event, void_event
from tests.billing.test_late_usage import (
    APRIL,
    LATE,
    MAY,
    PER_CALL,
    VOLUME,
    adjusted,
    assert_all_is_proven,
    bill,
    sell,
    things,
)
from tests.factories import TenantFactory
from tests.metering import conftest
from tests.metering.events import event, outcomes, rows
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
ACTOR = Actor.system("somebody")
WHY = {"actor": ACTOR, "reason": "sent by mistake", "now": NOW}
GRADUATED = {
    "model": "GRADUATED",
    "tiers": [{"tierEnd": 10, "unitPrice": "1"}, {"tierEnd": -1, "unitPrice": "0.5"}],
}
FORGED = """
    INSERT INTO corrections (id, tenant_id, kind, action_id, event_id, running_total_id, position,
        void_position, idempotency_key, replacement_key, reason, actor_name, created_at)
    SELECT gen_random_uuid(), tenant_id, kind, action_id, event_id + 1, running_total_id,
        position + 1, void_position, idempotency_key, '', reason, actor_name, created_at
    FROM corrections
"""
seller, no_wakes, fresh_process = conftest.seller, conftest.no_wakes, conftest.fresh_process


@pytest.fixture(autouse=True)
def months(db):
    partitions.make_around([APRIL])


def row_of(number):
    return UsageEvent.objects.exclude(source="VOID").get(idempotency_key=f"key-{number}")


def void(seller, number, **more):
    return void_event(tenant=seller.tenant, event_id=row_of(number).pk, **WHY | more)


def amend(seller, number, **changes):
    return amend_event(tenant=seller.tenant, event_id=row_of(number).pk, changes=changes, **WHY)


def total_of(row):
    return RunningTotal.objects.get(id=row.running_total_id)


def state_of(total):
    return plain(total.quantity), total.event_count, plain(total.revenue), total.position


def test_what_takes_an_event_back_is_a_row_below_zero(seller):
    sell(seller, GRADUATED)
    seller.count(things(1, 8, metadata={"model": "größer"}, sessionId="s"), things(2, "7.5"))
    (correction,) = void(seller, 1).corrections
    first, _, back = rows()
    assert (back.source, back.position, plain(back.quantity)) == ("VOID", 3, "-8")
    assert plain(back.revenue) == "-5.25"  # 12.75 for 15.5 becomes 7.50 for 7.5
    assert back.metadata == f'{{"voids":{{"position":1,"eventId":{first.pk}}}}}'
    assert (back.session_id, back.occurred_at, back.received_at) == ("s", first.occurred_at, NOW)
    assert (back.batch_id, back.batch_index) == (first.batch_id, first.batch_index)
    assert state_of(total_of(first)) == ("7.5", 1, "7.5", 3)
    assert (correction.position, correction.void_position, correction.kind) == (1, 3, "VOID")
    assert (correction.idempotency_key, correction.reason) == ("key-1", "sent by mistake")
    assert account_of(seller.tenant.id).counted == 2
    assert_all_is_proven(seller)


def test_an_event_is_taken_back_once(seller):
    sell(seller, PER_CALL)
    seller.count(things(1, 8))
    event_id = row_of(1).pk
    void(seller, 1)
    for again in (void_event, lambda **more: amend_event(changes={"quantity": Decimal(1)}, **more)):
        with pytest.raises(Conflict) as refusal:
            again(tenant=seller.tenant, event_id=event_id, **WHY)
        assert refusal.value.code == "EVENT_TAKEN_BACK"
    back = UsageEvent.objects.get(source="VOID")
    with pytest.raises(Refused) as refusal:
        void_event(tenant=seller.tenant, event_id=back.pk, **WHY)
    assert refusal.value.code == "CORRECTION_IS_FINAL"
    assert (UsageEvent.objects.count(), Correction.objects.count()) == (2, 1)
    entry = AuditEntry.objects.get(action="USAGE_EVENT_VOIDED")
    assert (entry.reason, entry.actor_name) == ("sent by mistake", "somebody")


def test_its_key_stays_used(seller):
    sell(seller, PER_CALL)
    seller.count(things(1, 8))
    void(seller, 1)
    seller.count(things(1, 8))
    assert outcomes() == {"counted": 1, "duplicates": 1}
    assert_all_is_proven(seller)


@pytest.mark.parametrize("reason", ["", " "])
def test_a_reason_is_needed_and_another_tenants_event_is_absent(seller, reason):
    sell(seller, PER_CALL)
    seller.count(things(1, 8))
    with pytest.raises(Refused):
        void(seller, 1, reason=reason)
    with pytest.raises(NotFound):
        void_event(tenant=TenantFactory(), event_id=row_of(1).pk, **WHY)
    assert not Correction.objects.exists()


@pytest.mark.parametrize(
    ("unit", "voided", "quantity"),
    [
        ({"aggregation": "MAX"}, 1, "9"),  # 3, 9, 5, 9
        ({"aggregation": "MAX"}, 3, "9"),
        ({"aggregation": "COUNT"}, 1, "3"),
        ({"aggregation": "SUM"}, 1, "17"),
        ({"aggregation": "UNIQUE", "event_field": "user"}, 0, "2"),  # a, b, c, b
        ({"aggregation": "UNIQUE", "event_field": "user"}, 1, "3"),
    ],
)
def test_a_total_is_what_it_would_be_without_the_event(seller, unit, voided, quantity):
    sell(seller, GRADUATED, unit_cost="0.1", **unit)
    sizes = zip((3, 9, 5, 9), "abcb", strict=True)
    seller.count(
        *(things(n, size, metadata={"user": user}) for n, (size, user) in enumerate(sizes))
    )
    void(seller, voided)
    total = RunningTotal.objects.get()
    charged = parse_terms(GRADUATED).charge(Usage(Decimal(quantity), 3))
    assert (plain(total.quantity), total.event_count) == (quantity, 3)
    assert (total.revenue, total.cost) == (charged, total.quantity * Decimal("0.1"))
    assert_all_is_proven(seller)


def test_the_last_of_the_largest_and_the_last_of_a_value(seller):
    sell(seller, PER_CALL, aggregation="MAX")
    seller.count(things(1, 3), things(2, 9), things(3, 5))
    for number, left in ((2, "5"), (3, "3"), (1, "0")):
        void(seller, number)
        assert plain(RunningTotal.objects.get().quantity) == left
    seller.count(things(4, 2))
    assert plain(RunningTotal.objects.get().quantity) == "2"
    assert_all_is_proven(seller)


def test_a_value_that_was_taken_back_is_new_again(seller):
    sell(seller, PER_CALL, aggregation="UNIQUE", event_field="user")
    seller.count(things(1, metadata={"user": "a"}), things(2, metadata={"user": "a"}))
    void(seller, 1)
    assert plain(RunningTotal.objects.get().quantity) == "1"
    void(seller, 2)
    assert plain(RunningTotal.objects.get().quantity) == "0"
    seller.count(things(3, metadata={"user": "a"}))
    assert state_of(RunningTotal.objects.get()) == ("1", 1, "0.02", 5)
    assert_all_is_proven(seller)


def test_an_amended_event_counts_with_other_values(seller):
    sell(seller, GRADUATED)
    seller.count(things(1, 8, metadata={"a": 1}), things(2, 7))
    corrected = amend(seller, 1, quantity=Decimal(3), metadata={"a": Decimal("1.50")})
    (new,) = corrected.replacements
    assert (new.source, new.position, new.metadata) == ("AMEND", 4, '{"a":1.50}')
    assert (new.idempotency_key, corrected.corrections[0].void_position) == (
        corrected.corrections[0].replacement_key, 3,
    )  # fmt: skip
    assert state_of(total_of(new)) == ("10", 2, "10", 4)
    assert account_of(seller.tenant.id).counted == 2
    assert_all_is_proven(seller)
    amend_event(tenant=seller.tenant, event_id=new.pk, changes={"quantity": Decimal(5)}, **WHY)
    assert state_of(total_of(new)) == ("12", 2, "11", 6)
    assert_all_is_proven(seller)


def test_an_amendment_may_move_an_event_anywhere(seller):
    sell(seller, PER_CALL)
    seller.count(things(1, 8))
    (new,) = amend(seller, 1, customerId="cust_1", metricName="calls").replacements
    assert (new.metric, total_of(new).event_count) == ("calls", 1)
    assert account_of(seller.tenant.id).counted == 1
    assert_all_is_proven(seller)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "NOTHING_CHANGED"),
        ({"quantity": Decimal(-1)}, "INVALID_QUANTITY"),
        ({"customerId": "nobody"}, "UNKNOWN_CUSTOMER"),
        ({"metricName": "nothing"}, "UNKNOWN_METRIC"),
        ({"occurredAt": datetime(2026, 3, 16, tzinfo=UTC)}, "TIMESTAMP_IN_FUTURE"),
        ({"occurredAt": datetime(2025, 1, 1, tzinfo=UTC)}, "NO_SUBSCRIPTION"),
        ({"idempotencyKey": "key-2"}, "REPLACEMENT_KEY_TAKEN"),
    ],
)
def test_an_amendment_that_cannot_count_changes_nothing(seller, changes, code):
    sell(seller, PER_CALL)
    seller.count(things(1, 8), things(2, 1))
    before = list(RunningTotal.objects.order_by("id").values())
    with pytest.raises((Refused, Conflict)) as refusal:
        amend(seller, 1, **changes)
    assert refusal.value.code == code
    assert list(RunningTotal.objects.order_by("id").values()) == before
    assert (UsageEvent.objects.count(), Correction.objects.count()) == (2, 0)
    seller.count(things(3, 8, idempotencyKey=f"amend:{row_of(1).pk}"))
    assert outcomes() == {"counted": 3}


def test_an_event_of_two_units_is_taken_back_from_both(seller):
    sell(seller, PER_CALL)
    sell_more = {"aggregation": "COUNT", "name": "more"}
    unit = conftest.BillableUnitFactory(tenant=seller.tenant, source_metric="things", **sell_more)
    version = conftest.RatePlanVersionFactory(
        tenant=seller.tenant, prices={unit: PER_CALL}, published=True
    )
    subscription = conftest.subscribe(seller.tenant, "both", version)
    first = conftest.RatePlanVersion.objects.get(prices__unit__name="things")
    subscription.plans.create(tenant=seller.tenant, version=first, position=1)
    conftest.catalog_changed(seller.tenant)
    seller.count(things(1, 8, customerId="both"), things(2, 3, customerId="both"))
    row = UsageEvent.objects.filter(idempotency_key="key-1").last()
    corrected = amend_event(
        tenant=seller.tenant, event_id=row.pk, changes={"quantity": Decimal(1)}, **WHY
    )
    assert len(corrected.corrections) == len(corrected.replacements) == 2
    assert sorted(plain(one.quantity) for one in RunningTotal.objects.all()) == ["2", "4"]
    assert account_of(seller.tenant.id).counted == 2
    assert_all_is_proven(seller)


def test_an_unbilled_event_is_taken_back_and_amended_into_a_price(seller):
    seller.tenant.unknown_metric = "ACCEPT_UNBILLED"
    seller.tenant.save()
    seller.count(event(1, metricName="strange"), event(2, metricName="strange"))
    void(seller, 1)
    (new,) = amend(seller, 2, metricName="calls").replacements
    assert total_of(new).event_count == 1
    account = account_of(seller.tenant.id)
    assert (account.counted, account.unbilled, account.balances) == (0, 2, True)
    assert_all_is_proven(seller)


def test_what_was_billed_is_credited_with_the_next_invoice(seller, queued):
    sell(seller, GRADUATED, fees={"base_fee": "10"})
    seller.count(things(1, 8), things(2, 7))
    (march,) = bill(seller.tenant, APRIL)
    void_event(tenant=seller.tenant, event_id=row_of(1).pk, **WHY | {"now": APRIL})
    assert LateTotal.objects.count() == 1
    (april,) = bill(seller.tenant, MAY)
    (line,) = adjusted(april)
    assert (str(march.total), str(line.amount), plain(line.quantity)) == (
        "22.5000",
        "-5.5000",
        "-8",
    )
    span = BillRunEventIndex.objects.get(line=line)
    assert (span.first_position, span.last_position, span.event_count) == (3, 3, -1)
    assert str(april.total) == "4.5000"
    assert_all_is_proven(seller)


def test_what_was_billed_is_amended_with_the_next_invoice(seller, queued):
    sell(seller, PER_CALL)
    seller.count(things(1, 8), things(2, 7))
    bill(seller.tenant, APRIL)
    amend_event(
        tenant=seller.tenant,
        event_id=row_of(1).pk,
        changes={"quantity": Decimal(108)},
        **WHY | {"now": APRIL},
    )
    (april,) = bill(seller.tenant, MAY)
    (line,) = adjusted(april)
    span = BillRunEventIndex.objects.get(line=line)
    assert (str(line.amount), span.first_position, span.last_position) == ("2.0000", 3, 4)
    assert_all_is_proven(seller)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE usage_events SET metadata = '{}' WHERE source = 'VOID'",
        "UPDATE usage_events SET quantity = -7 WHERE source = 'VOID'",
        "UPDATE usage_events SET revenue = 0 WHERE source = 'VOID'",
        "DELETE FROM usage_events WHERE source = 'VOID'",
        FORGED,
    ],
)
def test_a_changed_correction_is_found_out(seller, change):
    sell(seller, PER_CALL)
    seller.count(things(1, 8), things(2, 7))
    void(seller, 1)
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
    with connection.cursor() as cursor:
        cursor.execute(change)
    assert "the digest of a total chains all of its events" in broken_truths(
        tenant_id=seller.tenant.id, full=True
    )


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_take_an_event_back_once(seller):
    sell(seller, PER_CALL)
    seller.count(things(1, 8), things(2, 7))
    event_id = row_of(1).pk

    def work(index):
        try:
            void_event(tenant=seller.tenant, event_id=event_id, **WHY)
        except Conflict as refusal:
            return refusal.code
        return "done"

    assert sorted(in_threads(8, work)) == ["EVENT_TAKEN_BACK"] * 7 + ["done"]
    assert state_of(RunningTotal.objects.get()) == ("7", 1, "0.14", 3)
    assert_all_is_proven(seller)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["count", "count", "void", "amend"]),
        st.integers(min_value=0, max_value=30),
        st.integers(min_value=0, max_value=9),
    ),
    min_size=1,
    max_size=14,
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=STEPS,
    unit=st.sampled_from(
        [
            {"aggregation": "COUNT"},
            {"aggregation": "SUM"},
            {"aggregation": "MAX"},
            {"aggregation": "UNIQUE", "event_field": "user"},
        ]
    ),
    terms=st.sampled_from([GRADUATED, VOLUME, PER_CALL]),
)
def test_whatever_is_corrected_the_total_is_that_of_what_stands(seller, steps, unit, terms):
    number = UsageEvent.objects.count() + Correction.objects.count() * 1000
    name = f"buyer-{number}-{len(steps)}-{RunningTotal.objects.count()}"
    subscription = _sell_again(seller, terms, name, unit)
    standing = {}
    for index, (act, chosen, size) in enumerate(steps):
        fields = {"customerId": name, "metricName": name, "occurredAt": LATE}
        if act == "count" or not standing:
            key = f"{name}-{index}"
            sent = event(0, **fields, quantity=size, metadata={"user": size}, idempotencyKey=key)
            seller.count(sent)
            standing[UsageEvent.objects.get(idempotency_key=key).pk] = size
            continue
        event_id = sorted(standing)[chosen % len(standing)]
        del standing[event_id]
        if act == "void":
            void_event(tenant=seller.tenant, event_id=event_id, **WHY)
        else:
            changes = {"quantity": Decimal(size), "metadata": {"user": size}}
            more = {"idempotencyKey": f"{name}-{index}-new"}
            (new,) = amend_event(
                tenant=seller.tenant, event_id=event_id, changes=changes | more, **WHY
            ).replacements
            standing[new.pk] = size
    total = RunningTotal.objects.get(subscription_id=subscription.id)
    sizes = list(standing.values())
    level = {
        "COUNT": len(sizes),
        "SUM": sum(sizes),
        "MAX": max(sizes, default=0),
        "UNIQUE": len(set(sizes)),
    }[unit["aggregation"]]
    assert (total.quantity, total.event_count) == (level, len(sizes))
    charge = parse_terms(terms).charge
    assert total.revenue == charge(Usage(Decimal(level), len(sizes)))
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}


def _sell_again(seller, terms, name, unit):
    made = conftest.BillableUnitFactory(tenant=seller.tenant, name=name, **unit)
    version = conftest.RatePlanVersionFactory(
        tenant=seller.tenant, prices={made: terms}, published=True
    )
    return conftest.subscribe(seller.tenant, name, version)
