"""Alerts: conditions that hold, channels of rules and customers, and quiet after each."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from hypothesis import given
from hypothesis import strategies as st

from aforo.errors import Refused
from aforo.outbox.models import OutboxMessage
from aforo.outbox.services import publish
from aforo.tenancy.services.actors import Actor
from tests.factories import (
    NOW,
    AlertRuleFactory,
    CustomerFactory,
    CustomerPreferenceFactory,
    TenantFactory,
    WebhookEndpointFactory,
)
from tests.threads import in_threads
from webhooks.inbound.paths import compiled
from webhooks.models import AlertFiring, AlertRule, OutboundDelivery
from webhooks.outbound import alerts as firing
from webhooks.outbound import carrying, shares
from webhooks.outbound.alerts import fire_alerts
from webhooks.outbound.carrying import carry_page
from webhooks.outbound.conditions import Condition, InvalidCondition, read_conditions
from webhooks.outbound.pump import carry_out
from webhooks.outbound.shares import Shares
from webhooks.services import alert_rules

HOUR = timedelta(hours=1)
PAYLOAD = {"total": "129.50", "n": 3, "lines": [{"kind": "USAGE"}], "ok": True, "end": None}


@pytest.mark.parametrize(
    ("path", "operator", "value", "holds"),
    [
        ("total", "EQUALS", "129.5", True),
        ("$.total", "GREATER", "129.5", False),
        ("$.total", "AT_LEAST", "129.50", True),
        ("$.n", "LESS", "10", True),
        ("$.n", "AT_MOST", "2.999", False),
        ("$.lines[*].kind", "EQUALS", "USAGE", True),
        ("$.lines[0].kind", "GREATER", "1", False),
        ("$.lines[0].kind", "CONTAINS", "SAG", True),
        ("$.ok", "EQUALS", "true", True),
        ("$.n", "NOT_EQUALS", "3.0", False),
        ("$.end", "EXISTS", "", False),
        ("$.end", "ABSENT", "", True),
        ("$.nowhere", "NOT_EQUALS", "1", False),
        ("$.total.deeper[0]", "EXISTS", "", False),
    ],
)
def test_conditions(path, operator, value, holds):
    assert (
        Condition.read({"path": path, "operator": operator, "value": value}).holds(PAYLOAD) is holds
    )


@pytest.mark.parametrize(
    "said",
    [
        {"path": "$.[", "operator": "EXISTS"},
        {"path": "$.a | $.b", "operator": "EXISTS"},
        {"path": "$.`parent`", "operator": "EXISTS"},
        {"path": "$..$..$", "operator": "EXISTS"},
        {"path": "$..a..b", "operator": "EXISTS"},
        {"path": "", "operator": "EXISTS"},
        {"path": "$.n", "operator": "LIKE", "value": "1"},
        {"path": "$.n", "operator": "GREATER", "value": "many"},
        {"path": "$.n", "operator": "EXISTS", "more": 1},
    ],
)
def test_what_can_never_be_looked_at_is_no_condition(said):
    with pytest.raises(InvalidCondition) as raised:
        read_conditions([{"path": "$.n", "operator": "EXISTS"}, said])
    assert raised.value.position == 1


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers())
def test_either_more_or_at_most(number, limit):
    payload = {"n": str(number)}
    more = Condition("n", "GREATER", str(limit)).holds(payload)
    assert more is not Condition("n", "AT_MOST", str(limit)).holds(payload)
    assert more is (number > limit)


def told(tenant, customer="cust_1", *, at=NOW, total="200.00"):
    return publish(
        tenant_id=tenant.pk,
        fact="usage.dropped",
        payload={"customerId": customer, "total": total},
        now=at,
    )


def alerts(tenant):
    rows = OutboxMessage.objects.filter(tenant=tenant, fact="alert.fired").order_by("pk")
    return [row.payload for row in rows]


@pytest.fixture
def rule(tenant):
    conditions = [{"path": "$.total", "operator": "GREATER", "value": "100"}]
    return AlertRuleFactory(tenant=tenant, fact="usage.dropped", conditions=conditions)


def test_a_fact_that_meets_the_conditions_alerts_and_is_quiet_for_a_while(rule, tenant):
    for minutes in (0, 30, 59, 60, 61):
        told(tenant, at=NOW + timedelta(minutes=minutes))
    told(tenant, total="100")
    told(tenant, "cust_2")
    carry_page(now=NOW)
    fired = alerts(tenant)
    assert [alert["customerId"] for alert in fired] == ["cust_1", "cust_1", "cust_2"]
    assert fired[0]["payload"] == {"customerId": "cust_1", "total": "200.00"}
    firing = AlertFiring.objects.get(customer_key="cust_1")
    assert (firing.fired_count, firing.quiet_count) == (2, 3)
    assert firing.fired_at == NOW + HOUR


def test_customers_are_alerted_as_they_prefer(rule, tenant):
    loud, never, some = (CustomerFactory(tenant=tenant, external_id=name) for name in "abc")
    CustomerPreferenceFactory(customer=loud, tenant=tenant, cooldown=timedelta())
    CustomerPreferenceFactory(customer=never, tenant=tenant, channels=[])
    CustomerPreferenceFactory(customer=some, tenant=tenant, channels=[])
    CustomerPreferenceFactory(
        customer=some, tenant=tenant, fact="usage.dropped", channels=["EMAIL"]
    )
    for customer in (loud, loud, never, some):
        told(tenant, str(customer.pk))  # some facts say our id, some the tenant's
        told(tenant, customer.external_id)
    carry_page(now=NOW)
    assert [(one["customerId"], one["channels"]) for one in alerts(tenant)] == [
        *[("a", ["WEBHOOK", "SLACK", "EMAIL"])] * 4,
        ("c", ["EMAIL"]),
    ]


def test_an_alert_goes_to_endpoints_of_its_channels(rule, tenant, receiver):
    rule.channels = ["WEBHOOK", "EMAIL"]
    rule.save()
    for path, form in (("a", "STANDARD"), ("s", "SLACK")):
        WebhookEndpointFactory(
            tenant=tenant, url=f"{receiver.url}/{path}", format=form, facts=["alert.fired"]
        )
    WebhookEndpointFactory(
        tenant=tenant, url="ops@seller.example", format="EMAIL", facts=["alert.fired"]
    )
    told(tenant)
    carry_out(now=lambda: datetime.now(UTC))  # noqa: TID251 - receivers know no other
    (body,) = receiver.bodies("/a")
    assert json.loads(body)["data"]["ruleId"] == str(rule.pk)
    assert not receiver.bodies("/s")
    (letter,) = mail.outbox
    assert letter.subject == f"WARNING: {rule.name}"
    assert OutboundDelivery.objects.count() == 2


def test_rules_that_are_off_or_of_others_say_nothing(rule, tenant):
    rule.is_active = False
    rule.save()
    AlertRuleFactory(fact="usage.dropped")
    told(tenant)
    carry_page(now=NOW)
    assert not alerts(tenant)


@pytest.mark.django_db(transaction=True)
def test_of_eight_at_once_one_alerts(rule, tenant):
    messages = [told(tenant) for _ in range(8)]
    fired = in_threads(8, lambda index: fire_alerts([messages[index]], Shares()).alerts)
    assert sum(fired) == 1
    assert len(alerts(tenant)) == 1
    assert AlertFiring.objects.get().quiet_count == 7


@pytest.mark.parametrize(
    "path", ["$.`parent`", "$" + "..$" * 6, "$.total" + "[0,0,0,0,0,0,0,0]" * 20]
)
def test_a_rule_that_cannot_be_looked_at_holds_up_nobody(tenant, path):
    """Rules of before such paths were refused are in the database still."""
    AlertRuleFactory(
        tenant=tenant,
        fact="usage.dropped",
        conditions=[{"path": path, "operator": "EXISTS"}],
        channels=["EMAIL"],
    )
    nested = 1
    for _ in range(20):
        nested = [nested]
    told(tenant, total=nested)
    assert carry_page(now=NOW) == 1
    assert not OutboxMessage.objects.filter(fact="alert.fired").exists()


def test_an_alert_that_cannot_be_told_takes_no_other_with_it(rule, tenant, monkeypatch):
    broken = AlertRuleFactory(tenant=tenant, fact=rule.fact, conditions=[])
    publishes = firing.publish

    def breaks(*, subject, **said):
        if subject == broken.pk:
            AlertRule.objects.create(tenant=tenant, name=None)  # the database refuses
        return publishes(subject=subject, **said)

    monkeypatch.setattr(firing, "publish", breaks)
    told(tenant)
    assert carry_page(now=NOW) == 1
    (alert,) = OutboxMessage.objects.filter(fact="alert.fired")
    assert alert.payload["ruleId"] == str(rule.pk)
    assert AlertFiring.objects.get().rule == rule


def test_a_page_ends_where_looking_has_taken_long(rule, tenant, monkeypatch):
    monkeypatch.setattr(shares, "PLACES_OF_A_PAGE", 0)
    for _ in range(3):
        told(tenant)
    assert [carry_page(now=NOW) for _ in range(4)] == [1, 1, 2, 0]  # and one alert


@pytest.mark.parametrize("rows", [carrying.ROWS, 2])
def test_rules_of_one_tenant_hold_up_nobody_else(rule, tenant, monkeypatch, rows):
    """However many of its messages come before those of others, and whatever they make."""
    monkeypatch.setattr(shares, "PLACES_OF_A_TENANT", 0)
    monkeypatch.setattr(carrying, "PAGE", 3)
    monkeypatch.setattr(carrying, "ROWS", rows)
    quiet = AlertRuleFactory(fact=rule.fact, conditions=[{**rule.conditions[0], "value": "900"}])
    WebhookEndpointFactory(tenant=tenant)
    WebhookEndpointFactory(tenant=quiet.tenant)
    own = [told(tenant) for _ in range(5)]
    other = told(quiet.tenant)
    own += [told(tenant)]
    pages = []
    while carry_page(now=NOW):
        carried = OutboxMessage.objects.exclude(carried_at=None).exclude(fact="alert.fired")
        pages.append(set(carried.values_list("pk", flat=True)))
    assert pages[0] == {own[0].pk, other.pk}
    first = [next(at for at, page in enumerate(pages) if one.pk in page) for one in own]
    assert first == sorted(set(first))  # one by one, in order


def test_who_has_no_rules_waits_for_no_tenant_that_has(rule, tenant, monkeypatch):
    monkeypatch.setattr(shares, "PLACES_OF_A_PAGE", 0)
    messages = [told(tenant), told(AlertRuleFactory(fact=rule.fact).tenant), told(TenantFactory())]
    assert fire_alerts(messages, Shares()).messages == [messages[0], messages[2]]


def test_rules_that_are_met_end_a_page_and_ask_once_who_it_is_about(
    rule, tenant, monkeypatch, django_assert_max_num_queries
):
    AlertRuleFactory.create_batch(4, tenant=tenant, fact=rule.fact, cooldown=timedelta())
    CustomerFactory(tenant=tenant, external_id="cust_1")
    monkeypatch.setattr(shares, "PLACES_OF_A_TENANT", 12 * firing.PLACES_OF_AN_ALERT)
    messages = [told(tenant) for _ in range(9)]
    with django_assert_max_num_queries(1 + 3 * (2 + 5 * 5)):  # 5, and 4 that are never quiet
        assert fire_alerts(messages, Shares()) == (13, messages[:3])
    again = fire_alerts(messages[3:], Shares())  # to be quiet costs as much
    assert again.messages == messages[3:6]


def test_rules_of_other_facts_are_not_read_and_drive_no_mapping_out(rule, tenant, monkeypatch):
    other = [{"path": "$.never", "operator": "EXISTS"}]
    AlertRuleFactory(tenant=tenant, fact="invoice.paid", conditions=other)
    read, before = [], compiled.cache_info().currsize
    reads = firing.read_conditions
    monkeypatch.setattr(firing, "read_conditions", lambda said: read.append(said) or reads(said))
    for _ in range(2):
        told(tenant)
    carry_page(now=NOW)
    assert read == [rule.conditions]
    assert compiled.cache_info().currsize == before


@pytest.mark.parametrize("place", ["holds", "publish"])
def test_a_task_whose_time_is_up_stops(rule, tenant, monkeypatch, place):
    def soft(*_, **__):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(*((Condition, place) if place == "holds" else (firing, place)), soft)
    told(tenant)
    with pytest.raises(SoftTimeLimitExceeded):
        carry_page(now=NOW)
    assert OutboxMessage.objects.filter(carried_at=None).count() == 1


def test_a_shorter_cooldown_ends_a_quiet_that_has_begun(rule, tenant):
    rule.cooldown = timedelta(days=366)
    rule.save()
    told(tenant)
    carry_page(now=NOW)
    rule.cooldown = timedelta(hours=2)
    rule.save()
    for hours in (1, 2):
        told(tenant, at=NOW + timedelta(hours=hours))
    carry_page(now=NOW)
    assert len(alerts(tenant)) == 2
    row = AlertFiring.objects.get()
    assert (row.fired_at, row.quiet_until) == (NOW + 2 * HOUR, NOW + 4 * HOUR)
    assert (row.fired_count, row.quiet_count) == (2, 1)


def test_a_tenant_has_so_many_rules_that_are_not_removed(rule, tenant, monkeypatch):
    monkeypatch.setattr(alert_rules, "MOST_RULES", 2)
    said = {"tenant": tenant, "actor": Actor.system("tests"), "now": NOW}
    AlertRuleFactory()
    AlertRuleFactory(tenant=tenant, is_active=False, archived_at=NOW)
    alert_rules.create_rule(name="a", fact=rule.fact, **said)
    with pytest.raises(Refused, match="at most 2 alert rules"):
        alert_rules.create_rule(name="b", fact=rule.fact, **said)
    assert AlertRule.objects.count() == 4
