"""Levels of margins end to end: usage and costs in, alerts, facts, and what gateways read out."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from aforo import valkey
from aforo.outbox.models import OutboxMessage
from catalog.models import BillableUnit, Customer, RatePlan, RatePlanVersion
from metering.entitlements.state import MARGIN, key_of
from metering.entitlements.state import MarginState as Answer
from metering.margin import nudges
from metering.models import (
    Alert,
    CostEvent,
    CustomerTag,
    GuardCount,
    GuardDecision,
    GuardFloor,
    MarginChannel,
    MarginGuard,
    MarginState,
    UsageEvent,
)
from metering.services import margins
from tests.factories import CostEventFactory, TenantFactory, WebhookEndpointFactory
from tests.metering.conftest import NOW, catalog_changed, subscribe
from tests.metering.events import event
from webhooks.models.alert_rules import Channel
from webhooks.outbound.routing import takes

MONTH = {"scope": "COHORT", "cohort": "START_MONTH"}
REAL = NOW + timedelta(days=200)  # everybody's clock: the tenant's is frozen


@pytest.fixture
def guard(seller):
    def guard(code="all", **fields):
        row = MarginGuard.objects.create(tenant=seller.tenant, code=code, created_at=NOW, **fields)
        catalog_changed(seller.tenant)
        return row

    return guard


@pytest.fixture
def look(seller, django_capture_on_commit_callbacks):
    """Judge everybody, commit, and say how many crossings there were."""

    def look(**more):
        with django_capture_on_commit_callbacks(execute=True):
            return margins.evaluate_tenant(tenant_id=seller.tenant.pk, now=REAL, **more)

    return look


def calls(seller, count, *, start=0, customer="cust_1"):
    """Calls at 0.02, each of which costs 0.001."""
    numbers = range(start, start + count)
    seller.count(*(event(f"{customer}-{n}", customerId=customer) for n in numbers))


def spend(seller, amount, customer="cust_1", **fields):
    row = Customer.objects.get(tenant=seller.tenant, external_id=customer)
    CostEventFactory(tenant=seller.tenant, customer_id=row.pk, amount=Decimal(amount), **fields)


def answer(seller, customer="cust_1"):
    stored = valkey.client().hget(key_of(seller.tenant.pk, customer), MARGIN)
    return msgspec.json.decode(stored.split(b" ", 1)[1], type=Answer) if stored else None


def facts():
    rows = OutboxMessage.objects.filter(fact__startswith="margin.").order_by("created_at", "id")
    return [(row.fact, row.payload["level"]) for row in rows]


def alerts(state="OPEN"):
    return sorted(Alert.objects.filter(state=state).values_list("kind", flat=True))


def test_the_three_levels_and_the_way_back(seller, guard, look):
    made = guard(throttle_rate=30)
    calls(seller, 500)  # 10 in, 0.5 out
    assert look() == 0
    assert answer(seller) == Answer(percent=Decimal(95))
    assert (facts(), alerts()) == ([], [])

    spend(seller, "7.6")  # 8.1 of 10
    assert look() == 1
    told = answer(seller)
    assert (told.level, told.percent, told.throttle_rate) == ("L1_ALERT", Decimal(19), 100)
    assert told.message == "a margin of 19 % is below 20 %"
    assert facts() == [("margin.warning", "L1_ALERT")]
    assert alerts() == ["MARGIN_WARNING"]
    ids = UsageEvent.objects.order_by("id").values_list("pk", flat=True)
    assert Alert.objects.get().evidence["events"] == {
        "firstId": ids[0],
        "lastId": ids[499],
        "count": 500,
    }
    assert look() == 0  # once

    spend(seller, "0.95")  # 9.05
    look()
    told = answer(seller)
    assert (told.level, told.percent, told.throttle_rate) == ("L2_THROTTLE", Decimal("9.5"), 30)
    assert alerts() == ["MARGIN_THROTTLED", "MARGIN_WARNING"]

    spend(seller, "1")  # 10.05
    look()
    told = answer(seller)
    assert (told.level, told.percent, told.retry_after_seconds) == (
        "L3_BLOCK",
        Decimal("-0.5"),
        1800,
    )
    assert alerts() == ["MARGIN_BLOCKED", "MARGIN_THROTTLED", "MARGIN_WARNING"]
    state = MarginState.objects.get()
    assert (state.guard, state.level, state.revenue, state.cost) == (
        made,
        "L3_BLOCK",
        Decimal(10),
        Decimal("10.05"),
    )
    assert (state.since, state.judged_at) == (NOW, NOW)

    calls(seller, 500, start=500)  # 20 in, 10.55 out
    assert look() == 1
    assert answer(seller).level == "NONE"
    assert alerts() == []
    assert alerts("RECOVERED") == ["MARGIN_BLOCKED", "MARGIN_THROTTLED", "MARGIN_WARNING"]
    assert [fact for fact, _ in facts()] == [
        "margin.warning",
        "margin.throttled",
        "margin.blocked",
        "margin.recovered",
    ]

    spend(seller, "10")  # armed again: told again, both levels at once
    assert look() == 1
    assert [fact for fact, _ in facts()][4:] == [
        "margin.warning",
        "margin.throttled",
        "margin.blocked",
    ]
    decisions = GuardDecision.objects.order_by("id").values_list("before", "level", "reason")
    assert list(decisions) == [
        ("NONE", "L1_ALERT", "LOW_MARGIN"),
        ("L1_ALERT", "L2_THROTTLE", "LOW_MARGIN"),
        ("L2_THROTTLE", "L3_BLOCK", "LOW_MARGIN"),
        ("L3_BLOCK", "NONE", "OK"),
        ("NONE", "L3_BLOCK", "LOW_MARGIN"),
    ]
    assert GuardCount.objects.get().plain == 2


def test_a_fall_over_all_levels_says_of_each_what_it_is_below(seller, guard, look):
    guard()
    calls(seller, 500)  # 10 in, 0.5 out
    spend(seller, "10")
    look()
    titles = Alert.objects.order_by("kind").values_list("title", flat=True)
    assert [title.partition(": ")[2] for title in titles] == [
        f"a margin of -5 % is below {threshold} %" for threshold in (0, 10, 20)
    ]
    told = OutboxMessage.objects.filter(fact__startswith="margin.").order_by("fact")
    assert [(one.payload["level"], one.payload["floorPercent"]) for one in told] == [
        ("L3_BLOCK", "0"),
        ("L2_THROTTLE", "10"),
        ("L1_ALERT", "20"),
    ]


def test_what_is_told_has_its_numbers(seller, guard, look):
    unit = BillableUnit.objects.get(name="tokens")
    made = guard("tokens-floor", unit=unit)
    spend(seller, "0.5", metric="calls")  # no part of this margin
    spend(seller, "1.5", metric="tokens")
    look()
    message = OutboxMessage.objects.filter(fact="margin.blocked").get()
    told = {name: message.payload[name] for name in (
        "guardId", "guard", "customerId", "metric", "mode", "before", "level", "reason",
        "currency", "revenue", "cost", "marginPercent", "floorPercent",
    )}  # fmt: skip
    assert told == {
        "guardId": str(made.pk), "guard": "tokens-floor", "customerId": "cust_1",
        "metric": "tokens", "mode": "ENFORCE", "before": "NONE", "level": "L3_BLOCK",
        "reason": "NO_REVENUE", "currency": "USD", "revenue": "0", "cost": "1.5",
        "marginPercent": None, "floorPercent": "0",
    }  # fmt: skip
    assert message.payload["title"].endswith("a cost of 1.5 USD without any revenue")
    evidence = Alert.objects.get(kind="MARGIN_BLOCKED").evidence
    own = CostEvent.objects.get(metric="tokens")
    assert evidence["costs"] == {"lastId": str(own.pk), "count": 1}
    assert "events" not in evidence
    told = answer(seller)
    assert told.level == "NONE"
    assert told.by_metric["tokens"].level == "L3_BLOCK"


def test_a_guard_says_who_is_told_of_what(seller, guard, look):
    tenant = seller.tenant
    slack = WebhookEndpointFactory(tenant=tenant, format="SLACK")
    signed = WebhookEndpointFactory(tenant=tenant)
    guard(warn_channels=["SLACK", "EMAIL"], throttle_channels=["SLACK"], requests_per_second=5)
    calls(seller, 500)
    for amount in ("8", "1", "1.5"):
        spend(seller, amount, idempotency_key=amount)
        look()
    calls(seller, 500, start=500)
    look()
    told = OutboxMessage.objects.filter(fact__startswith="margin.").order_by("created_at", "id")
    assert [(message.fact, takes(slack, message), takes(signed, message)) for message in told] == [
        ("margin.warning", True, False),
        ("margin.throttled", True, False),
        ("margin.blocked", True, True),
        ("margin.recovered", True, True),
    ]
    assert MarginChannel.choices == Channel.choices


def test_a_guard_that_only_alerts_lets_requests_pass(seller, guard, look):
    guard(mode="ALERT_ONLY")
    spend(seller, "5")
    look()
    assert answer(seller).level == "L1_ALERT"
    assert facts() == [
        ("margin.warning", "L1_ALERT"),
        ("margin.warning", "L2_THROTTLE"),
        ("margin.warning", "L3_BLOCK"),
    ]
    assert alerts() == ["MARGIN_WARNING"] * 3
    calls(seller, 500)
    look()
    assert (alerts(), answer(seller).level) == ([], "NONE")


def test_nobody_is_judged_by_a_first_call(seller, guard, look):
    guard()
    spend(seller, "1")
    assert look() == 0
    spend(seller, "0.01", idempotency_key="one-more")
    assert look() == 1


def test_a_guard_that_is_switched_off_lets_everybody_go(seller, guard, look):
    row = guard()
    spend(seller, "5")
    look()
    assert answer(seller).level == "L3_BLOCK"
    MarginGuard.objects.filter(pk=row.pk).update(is_active=False)
    assert seller.tenant.pk in margins.guarded_tenants()
    assert look() == 1
    assert (answer(seller).level, alerts()) == ("NONE", [])
    assert GuardDecision.objects.order_by("-id").first().reason == "RELEASED"
    assert seller.tenant.pk not in margins.guarded_tenants()


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"scope": "ALL"}, ["cust_1", "cust_2"]),
        ({"scope": "CUSTOMER", "customer": "cust_2"}, ["cust_2"]),
        ({"scope": "PLAN", "rate_plan": True}, ["cust_1", "cust_2"]),
        ({"scope": "COHORT", "cohort": "TAG", "cohort_value": "pilot"}, ["cust_1"]),
        (MONTH | {"cohort_value": "2026-03"}, ["cust_1", "cust_2"]),
        (MONTH | {"cohort_value": "2026-02"}, []),
    ],
    ids=str,
)  # fmt: skip
def test_a_guard_judges_those_in_its_scope(seller, guard, look, fields, held):
    subscribe(seller.tenant, "cust_2", RatePlanVersion.objects.get())
    customers = {row.external_id: row for row in Customer.objects.all()}
    CustomerTag.objects.create(
        tenant=seller.tenant, customer=customers["cust_1"], tag="pilot", created_at=NOW
    )
    named = dict(fields)
    if "customer" in named:
        named["customer"] = customers[named["customer"]]
    if "rate_plan" in named:
        named["rate_plan"] = RatePlan.objects.get()
    guard(**named)
    for name in customers:
        spend(seller, "5", name)
    look()
    rows = MarginState.objects.filter(level="L3_BLOCK")
    assert sorted(row.customer.external_id for row in rows) == held


def test_a_segment_has_a_floor_of_its_own(seller, guard, look):
    row = guard()
    GuardFloor.objects.create(
        tenant=seller.tenant, guard=row, rate_plan=RatePlan.objects.get(), percent=25
    )
    calls(seller, 500)
    spend(seller, "7.1")  # 24 % are left
    look()
    assert MarginState.objects.get().level == "L3_BLOCK"
    assert answer(seller).message == "a margin of 24 % is below 25 %"


def test_a_foreign_cost_is_judged_alone_and_blocks_nobody_who_pays(seller, guard, look):
    guard()
    spend(seller, "7", currency="EUR")
    look()
    told = answer(seller)  # nothing comes in, in any currency
    assert (told.level, told.message) == ("L3_BLOCK", "a cost of 7 EUR without any revenue")
    calls(seller, 500)
    look()
    told = answer(seller)  # 10 USD come in; nobody knows what 7 EUR are beside them
    assert (told.level, told.message) == ("L1_ALERT", "a cost of 7 EUR without any revenue")
    spend(seller, "9.6", idempotency_key="own")
    look()
    told = answer(seller)
    assert (told.level, told.message) == ("L3_BLOCK", "a margin of -1 % is below 0 %")


def test_the_worst_of_several_guards_counts(seller, guard, look):
    guard("a", throttle_rate=70)
    guard("b", throttle_rate=20, block_below=-50)
    calls(seller, 500)
    spend(seller, "8.6")
    look()
    told = answer(seller)
    assert (told.level, told.throttle_rate) == ("L2_THROTTLE", 20)
    spend(seller, "2", idempotency_key="more")
    look()
    assert answer(seller).level == "L3_BLOCK"


def test_statements_do_not_grow_with_customers(seller, guard, look):
    guard()
    spend(seller, "5")

    def statements():
        with CaptureQueriesContext(connection) as captured:
            look()
        return len(captured)

    look()
    before = statements()
    version = RatePlanVersion.objects.get()
    for number in range(5):
        subscribe(seller.tenant, f"more_{number}", version)
        spend(seller, "5", f"more_{number}")
    look()
    assert statements() == before
    assert MarginState.objects.filter(level="L3_BLOCK").count() == 6


@pytest.mark.parametrize(
    ("kind", "is_lost"),
    [(ArithmeticError, False), (OperationalError, False), (OperationalError, True)],
)
def test_what_goes_wrong_with_one_tenant_leaves_no_other_unjudged(
    seller, guard, monkeypatch, kind, is_lost
):
    guard()
    monkeypatch.setattr(connection, "is_usable", lambda: not is_lost)
    failing = MarginGuard.objects.create(tenant=TenantFactory(), code="x", created_at=NOW).tenant_id
    last = MarginGuard.objects.create(tenant=TenantFactory(), code="x", created_at=NOW).tenant_id
    judged = []

    def evaluate(*, tenant_id, now):
        if tenant_id == failing:
            raise kind("a number that nobody can read")
        judged.append(tenant_id)
        return 1

    monkeypatch.setattr(margins, "evaluate_tenant", evaluate)
    if is_lost:
        with pytest.raises(OperationalError):
            margins.evaluate_all(now=REAL)
        return
    with pytest.raises(ExceptionGroup) as raised:
        margins.evaluate_all(now=REAL)
    assert [str(one) for one in raised.value.exceptions] == ["a number that nobody can read"]
    assert judged == [seller.tenant.pk, last]


def test_drains_and_costs_ask_for_a_look_where_somebody_guards(
    seller, guard, monkeypatch, django_capture_on_commit_callbacks
):
    asked = []
    monkeypatch.setattr(
        nudges.current_app, "send_task", lambda name, **more: asked.append((name, more["kwargs"]))
    )
    valkey.client().delete(f"margin:asked:{seller.tenant.pk}", f"margin:due:{seller.tenant.pk}")
    with django_capture_on_commit_callbacks(execute=True):
        calls(seller, 3)
    assert asked == []
    guard()
    with django_capture_on_commit_callbacks(execute=True):
        calls(seller, 3, start=10)
        cost = {
            "kind": "OTHER", "amount": "5", "currency": "USD", "customerId": "cust_1",
            "occurredAt": "2026-03-15T11:00:00Z",
        }  # fmt: skip
        assert seller.post(msgspec.json.encode(cost), path="/v1/ingest/cogs").status_code == 202
    assert asked == [("metering.evaluate_margins", {"tenant_id": str(seller.tenant.pk)})]
    with django_capture_on_commit_callbacks(execute=True):
        assert margins.evaluate_due(tenant_id=seller.tenant.pk, now=REAL) == 1
    assert answer(seller).level == "L3_BLOCK"
    assert margins.evaluate_due(tenant_id=seller.tenant.pk, now=REAL) == 0  # nobody is due
    assert margins.evaluate_all(now=REAL) == 0
