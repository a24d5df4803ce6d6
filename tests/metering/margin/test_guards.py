"""Guards as people make them: rehearsed, checked, audited, in force."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from aforo.tenancy.models.members import Role
from catalog.models import Customer, RatePlan, RatePlanVersion
from metering.admin.alerts import spoken
from metering.models import Alert, CustomerTag, GuardFloor, MarginGuard, MarginState
from metering.services import margins
from tests.catalog.admin.test_admin import browser_of
from tests.clients import operator_client
from tests.factories import CostEventFactory, TenantFactory
from tests.metering.conftest import NOW, subscribe
from tests.metering.events import event

PATH = "/api/v1/margin-guards"


@pytest.fixture
def operator(seller):
    return operator_client(seller.tenant)


def make(operator, **fields):
    answer = operator.post(PATH, {"code": "all"} | fields)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def spend(seller, amount, day, customer="cust_1", **fields):
    row = Customer.objects.get(tenant=seller.tenant, external_id=customer)
    at = datetime(2026, 3, day, 9, tzinfo=UTC)
    CostEventFactory(
        tenant=seller.tenant,
        customer_id=row.pk,
        amount=Decimal(amount),
        occurred_at=at,
        **fields,
    )


# --- the API --------------------------------------------------------------------------------


def test_a_guard_is_made_with_the_defaults_and_audited(seller, operator):
    made = make(operator)
    assert {name: made[name] for name in ("mode", "scope", "throttleRate", "retryAfter")} == {
        "mode": "ENFORCE",
        "scope": "ALL",
        "throttleRate": 100,
        "retryAfter": 1800,
    }
    assert [made[name] for name in ("warnBelow", "throttleBelow", "blockBelow", "costFloor")] == [
        "20",
        "10",
        "0",
        "1",
    ]
    before = seller.tenant.catalog_version
    seller.tenant.refresh_from_db()
    assert seller.tenant.catalog_version > before  # drains see it at once
    entry = AuditEntry.objects.get(action="MARGIN_GUARD_CREATED")
    assert entry.changes["code"] == {"before": None, "after": "all"}


def test_a_guard_is_changed_and_retired(seller, operator):
    plan = RatePlan.objects.get()
    made = make(operator, floors=[{"planId": str(plan.pk), "percent": "25"}], metricName="tokens")
    path = f"{PATH}/{made['id']}"
    changed = operator.patch(path, {"mode": "ALERT_ONLY", "metricName": None, "warnBelow": 30})
    assert changed.status_code == 200, changed.json()
    told = changed.json()
    assert (told["mode"], told["metricName"], told["warnBelow"]) == ("ALERT_ONLY", None, "30")
    assert told["floors"] == [{"planId": str(plan.pk), "percent": "25"}]
    assert operator.patch(path, {"floors": []}).json()["floors"] == []
    assert operator.delete(path).status_code == 204
    assert operator.get(f"{PATH}?archived=true").json()["totalElements"] == 1
    make(operator)  # its code is free again
    entries = AuditEntry.objects.filter(target_type="MarginGuard").order_by("id")
    assert [entry.action for entry in entries] == [
        "MARGIN_GUARD_CREATED",
        "MARGIN_GUARD_UPDATED",
        "MARGIN_GUARD_UPDATED",
        "MARGIN_GUARD_ARCHIVED",
        "MARGIN_GUARD_CREATED",
    ]


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"warnBelow": 5}, 422, "throttleBelow"),
        ({"throttleRate": 101}, 422, "throttleRate"),
        ({"costFloor": "-1"}, 422, "costFloor"),
        ({"requestsPerSecond": 0}, 422, "requestsPerSecond"),
        ({"warnChannels": ["PAGER"]}, 422, "warnChannels[0]"),
        ({"scope": "PLAN"}, 422, "planId"),
        ({"scope": "CUSTOMER"}, 422, "customerId"),
        ({"scope": "COHORT", "cohort": "TAG"}, 422, "cohort"),
        ({"customerId": "cust_1"}, 422, "customerId"),
        ({"customerId": "nobody", "scope": "CUSTOMER"}, 404, "customerId"),
        ({"metricName": "unheard"}, 404, "metricName"),
        ({"colour": "red"}, 422, "colour"),
    ],
    ids=str,
)
def test_a_guard_that_contradicts_itself_is_refused(operator, fields, status, field):
    for path in (PATH, f"{PATH}/preview"):
        answer = operator.post(path, {"code": "g"} | fields)
        assert answer.status_code == status, answer.json()
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not MarginGuard.objects.exists()


def test_two_guards_have_two_codes(operator):
    make(operator)
    assert operator.post(PATH, {"code": "all"}).status_code == 409


def test_roles_and_other_tenants(seller, operator):
    made = make(operator)
    reader = operator_client(seller.tenant, role="MEMBER")
    assert reader.get(PATH).status_code == 200
    assert reader.post(PATH, {"code": "x"}).status_code == 403
    other = operator_client(TenantFactory())
    assert other.patch(f"{PATH}/{made['id']}", {"code": "x"}).status_code == 404


def test_states_and_decisions_are_listed(seller, operator):
    make(operator)
    spend(seller, "5", 10)
    margins.evaluate_tenant(tenant_id=seller.tenant.pk, now=NOW)
    (state,) = operator.get("/api/v1/margin-states?level=L3_BLOCK").json()["content"]
    assert (state["customerId"], state["guard"], state["reason"]) == ("cust_1", "all", "NO_REVENUE")
    assert (state["revenue"], state["cost"], state["percent"]) == ("0", "5", None)
    (decision,) = operator.get("/api/v1/margin-decisions?customerId=cust_1").json()["content"]
    assert (decision["before"], decision["level"]) == ("NONE", "L3_BLOCK")
    assert operator.get("/api/v1/margin-decisions?customerId=cust_2").json()["content"] == []


def test_a_guard_with_another_mode_tells_anew(seller, operator):
    made = make(operator)
    spend(seller, "5", 10)
    margins.evaluate_tenant(tenant_id=seller.tenant.pk, now=NOW)
    operator.patch(f"{PATH}/{made['id']}", {"mode": "ALERT_ONLY"})
    assert not Alert.objects.filter(state="OPEN").exists()
    assert margins.evaluate_tenant(tenant_id=seller.tenant.pk, now=NOW) == 1
    kinds = Alert.objects.filter(state="OPEN").values_list("kind", flat=True)
    assert set(kinds) == {"MARGIN_WARNING"}


def test_customers_are_tagged_anew(seller, operator):
    customer = Customer.objects.get()
    path = f"/api/v1/customers/{customer.pk}/tags"
    assert operator.put(path, {"tags": ["pilot", "eu", "pilot"]}).json()["tags"] == ["eu", "pilot"]
    assert operator.put(path, {"tags": ["eu"]}).json()["tags"] == ["eu"]
    assert list(CustomerTag.objects.values_list("tag", flat=True)) == ["eu"]
    assert operator.put(path, {"tags": [""]}).status_code == 422
    assert operator.get(path).json()["tags"] == ["eu"]
    assert AuditEntry.objects.filter(action="CUSTOMER_TAGGED").count() == 2


# --- what it would have done ----------------------------------------------------------------


def test_a_rehearsal_judges_each_day_as_it_was(seller, operator):
    days = {5: 100, 8: 400}  # 2 and 8 of revenue, 0.1 and 0.4 of cost
    for day, count in days.items():
        at = f"2026-03-{day:02}T10:00:00Z"
        seller.count(*(event(f"{day}-{n}", occurredAt=at) for n in range(count)))
    spend(seller, "1.65", 5)  # 1.75 of 2 are spent: 12.5 % are left
    spend(seller, "0.2", 6)  # 1.95 of 2: 2.5 %
    spend(seller, "0.1", 7)  # 2.05 of 2
    spend(seller, "1", 8)  # 3.45 of 10
    answer = operator.post(f"{PATH}/preview", {"code": "draft"})
    assert answer.status_code == 200, answer.json()
    told = answer.json()
    held = {
        day["day"]: (day["warned"], day["throttled"], day["blocked"])
        for day in told["days"]
        if any((day["warned"], day["throttled"], day["blocked"]))
    }
    assert held == {
        "2026-03-05": (1, 0, 0),
        "2026-03-06": (0, 1, 0),
        "2026-03-07": (0, 0, 1),
    }
    assert (told["days"][0]["day"], told["days"][-1]["day"]) == ("2026-02-14", "2026-03-15")
    assert told["heldCustomers"] == 1
    (customer,) = told["customers"]
    assert (customer["customerId"], customer["level"]) == ("cust_1", "L3_BLOCK")
    assert (customer["firstDay"], customer["days"]) == ("2026-03-07", 3)
    assert (customer["revenue"], customer["cost"], customer["percent"]) == ("2", "2.05", "-2.5")
    assert not MarginGuard.objects.exists()
    assert not MarginState.objects.exists()


def test_a_rehearsal_is_of_those_in_scope_in_few_statements(
    seller, operator, django_assert_max_num_queries
):
    version = RatePlanVersion.objects.get()
    for number in range(4):
        subscribe(seller.tenant, f"more_{number}", version)
        spend(seller, "5", 10, f"more_{number}")
    with django_assert_max_num_queries(30):
        told = operator.post(f"{PATH}/preview", {"code": "draft"}).json()
    assert told["heldCustomers"] == 4
    assert (
        operator.post(
            f"{PATH}/preview", {"code": "d", "scope": "CUSTOMER", "customerId": "more_1"}
        ).json()["heldCustomers"]
        == 1
    )


# --- the admin ------------------------------------------------------------------------------

FORM = {
    "code": "by-hand",
    "scope": "ALL",
    "mode": "ENFORCE",
    "warn_below": "20",
    "throttle_below": "10",
    "block_below": "0",
    "throttle_rate": "100",
    "cost_floor": "1",
    "retry_after": "1800",
    "is_active": "on",
    "floors_by_plan": "",
    "rehearsal": "",
}


def test_the_form_shows_what_it_would_have_done_before_it_saves(seller):
    spend(seller, "5", 10)
    browser = browser_of(seller.tenant, Role.PRODUCT_MANAGER)
    url = reverse("admin:metering_marginguard_add")
    filled = FORM | {"tenant": str(seller.tenant.pk)}
    first = browser.post(url, filled)
    assert first.status_code == 200
    page = first.content.decode()
    assert "1 blocked" in page
    assert "cust_1" in page
    assert "Nothing is saved yet" in page
    assert not MarginGuard.objects.exists()
    seen = first.context["adminform"].form["rehearsal"].value()
    other = browser.post(url, filled | {"rehearsal": seen, "mode": "ALERT_ONLY"})
    assert other.status_code == 200  # something else was rehearsed
    assert browser.post(url, filled | {"rehearsal": seen}).status_code == 302
    guard = MarginGuard.objects.get()
    assert (guard.code, guard.mode) == ("by-hand", "ENFORCE")


def test_the_form_changes_a_guard_and_its_floors(seller, operator):
    made = make(operator)
    browser = browser_of(seller.tenant, Role.BILLING_ADMIN)
    url = reverse("admin:metering_marginguard_change", args=[made["id"]])
    plan = RatePlan.objects.get()
    filled = FORM | {"code": "all", "mode": "ALERT_ONLY", "floors_by_plan": f"{plan.name} = 25 %"}
    filled |= {"warn_channels": ["SLACK", "EMAIL"], "requests_per_second": "2.5"}
    assert (
        "names no plan"
        in browser.post(url, filled | {"floors_by_plan": "Nothing = 5"}).content.decode()
    )
    first = browser.post(url, filled)
    seen = first.context["adminform"].form["rehearsal"].value()
    assert browser.post(url, filled | {"rehearsal": seen}).status_code == 302
    changed = MarginGuard.objects.get()
    assert (changed.mode, changed.warn_channels) == ("ALERT_ONLY", ["SLACK", "EMAIL"])
    assert str(changed.requests_per_second) == "2.500"
    assert GuardFloor.objects.get().percent == 25
    for page in ("marginguard", "marginstate", "guarddecision", "customertag", "ratecard"):
        assert browser.get(reverse(f"admin:metering_{page}_changelist")).status_code == 200
    reader = browser_of(seller.tenant, Role.MEMBER)
    assert reader.post(url, filled).status_code == 403


def test_the_page_of_margins_tells_them_by_group(seller, operator):
    seller.count(*(event(n) for n in range(100)))
    spend(seller, "1.7", 10)
    spend(seller, "3", 10, currency="EUR")
    browser = browser_of(seller.tenant, Role.MEMBER)
    url = reverse("metering_margins")
    page = browser.get(url).content.decode()
    for said in ("cust_1", "2.00 USD", "1.80 USD", "0.20 USD", "10 %", "3 EUR"):
        assert said in page
    assert page.index("Margin in USD") < page.index("Margin in EUR") < page.index("no revenue")
    for by in ("metric", "product", "plan", "startMonth", "tag", "nonsense"):
        assert browser.get(url, {"by": by}).status_code == 200
    assert browser.get(url, {"tenant": TenantFactory().slug}).status_code == 404


def test_numbers_of_alerts_are_told_in_words():
    numbers = {"guardId": "0197", "metric": None, "marginPercent": "9", "before": "NONE"}
    told = spoken(numbers | {"customerId": "cust_1"})
    assert told == [("margin percent", "9"), ("before", "NONE"), ("customer id", "cust_1")]


def test_tags_are_written_and_taken_away_in_the_admin(seller):
    browser = browser_of(seller.tenant, Role.PRODUCT_MANAGER)
    customer = Customer.objects.get()
    row = {"tenant": str(seller.tenant.pk), "customer": str(customer.pk), "tag": "pilot"}
    assert browser.post(reverse("admin:metering_customertag_add"), row).status_code == 302
    tag = CustomerTag.objects.get()
    url = reverse("admin:metering_customertag_delete", args=[tag.pk])
    assert browser.post(url, {"post": "yes"}).status_code == 302
    assert not CustomerTag.objects.exists()


def test_a_card_is_written_and_ended_in_the_admin(seller):
    browser = browser_of(seller.tenant, Role.PRODUCT_MANAGER)
    unit = seller.tenant and RatePlanVersion.objects.get().prices.first().unit
    row = {
        "tenant": str(seller.tenant.pk),
        "unit": str(unit.pk),
        "dimensions": "model = large\ntype = output",
        "provider": "openai",
        "unit_price": "0.01",
        "currency": "USD",
        "valid_from_0": "2026-03-01",
        "valid_from_1": "00:00:00",
    }
    answer = browser.post(reverse("admin:metering_ratecard_add"), row)
    assert answer.status_code == 302, answer.context["errors"]
    (card,) = unit.rate_cards.all()
    assert card.dimension == '{"model":"large","type":"output"}'
    url = reverse("admin:metering_ratecard_change", args=[card.pk])
    assert "model: large" in browser.get(url).content.decode()
    ended = browser.post(url, {"valid_until_0": "2026-04-01", "valid_until_1": "00:00:00"})
    assert ended.status_code == 302
    card.refresh_from_db()
    assert card.valid_until == datetime(2026, 4, 1, tzinfo=UTC)
