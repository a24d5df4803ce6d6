"""The key of a subscription speaks for its own customer: it brings and hears of nobody else's."""

import json

import pytest
from django.urls import get_resolver

from aforo.api.authentication import AnyKeyAuthentication
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Customer, CustomerAlias, Subscription
from catalog.services.subscription_keys import issue_subscription_key
from metering.api.access_doors import VIEWS as ACCESS_ROUTES
from metering.api.urls import urlpatterns
from metering.ingest import door, own_customer
from metering.models import CostEvent, DeadLetter, UploadBatch, UsageEvent
from metering.selectors.letters import Chosen
from metering.services.letter_decisions import decide_now
from metering.services.units_from_letters import create_unit_and_replay
from tests.clients import client_with
from tests.factories import BillableUnitFactory, CustomerAliasFactory
from tests.metering.api.test_costs import cost
from tests.metering.api.test_uploads import get, post, read_all
from tests.metering.conftest import NOW, TOKEN, catalog_changed, subscribe
from tests.metering.events import codes, event, outcomes
from tests.metering.events import inbox as waiting
from tests.metering.letters import ACTOR, define, edit, replay, stored
from tests.test_other_tenants import routes

CODE = "OTHER_CUSTOMER"
COMPOUND = {"customerId": "cust_2", "measurements": [{"metricName": "calls", "quantity": 1}]}
CLOUD = {"specversion": "1.0", "id": "1", "source": "s", "type": "calls", "subject": "cust_2"}
LAGO = {"transaction_id": "1", "external_subscription_id": "cust_2", "code": "calls"}
STRIPE = {"event_name": "calls", "payload": {"stripe_customer_id": "cust_2", "value": "1"}}
STRIPE_V1 = "event_name=calls&payload[stripe_customer_id]=cust_2&payload[value]=1"
METER = {"tenantId": "cust_2", "metricKey": "calls", "value": 1}
# What each door takes, about another customer than the key's.
DOORS = {
    "v1/ingest": event(customerId="cust_2"),
    "v1/ingest/batch": {"events": [event(customerId="cust_2")]},
    "v1/ingest/events": event(customerId="cust_2"),
    "v1/ingest/events/batch": [event(customerId="cust_2")],
    "v1/events": {"event": "calls", "customer_id": "cust_2"},
    "v1/meter": METER,
    "api/v1/ingest/compound": COMPOUND,
    "api/v1/ingest/compound/batch": [COMPOUND],
    "v1/ingest/test": event(customerId="cust_2"),
    "v1/ingest/cogs": cost(customerId="cust_2"),
    "compat/lago/api/v1/events": {"event": LAGO},
    "compat/lago/api/v1/events/batch": {"events": [LAGO]},
    "compat/openmeter/api/v1/events": CLOUD,
    "compat/stripe/v1/billing/meter_events": STRIPE_V1,
    "compat/stripe/v2/billing/meter_events": STRIPE,
    "compat/stripe/v2/billing/meter_event_stream": {"events": [STRIPE]},
}
# Asked about rows of others below; a ticket is judged by what it opens: test_stream_access.py.
READ = {
    "v1/ingest/batches/<uuid:batch_id>",
    "v1/ingest/upload",
    "v1/ingest/upload/<uuid:upload_id>",
    "api/v1/events/stream-tickets",
}
TELL_NOTHING = {"api/v1/events/stream", "compat/stripe/v2/billing/meter_event_session"}
SESSION = "/compat/stripe/v2/billing/meter_event_session"


@pytest.fixture
def others(seller):
    """The seller, who has a second customer, with a key of the first one's subscription."""
    own = Subscription.objects.get()  # any tenant: the only one
    subscribe(seller.tenant, "cust_2")
    about = {"actor": Actor.system("test"), "now": NOW}
    _, seller.token = issue_subscription_key(subscription=own, name="its own", **about)
    return seller


def test_every_route_that_takes_such_a_key_is_in_these_tables():
    any_key = {
        path.removeprefix("/")
        for path, view in routes(get_resolver().url_patterns)
        if AnyKeyAuthentication in getattr(view, "authentication_classes", ())
    }
    plain = {str(one.pattern) for one in urlpatterns if not hasattr(one.callback, "view_class")}
    assert any_key | plain == {*DOORS, *READ, *TELL_NOTHING, *ACCESS_ROUTES}


def test_no_door_takes_or_tells_anything_of_another_customer(others):
    session = others.post("{}", path=SESSION).json()["authentication_token"]
    for path, body in DOORS.items():
        is_form = isinstance(body, str)
        token = session if path.endswith("stream") else others.token
        answer = others.client.post(
            f"/{path}",
            data=body if is_form else json.dumps(body),
            content_type="application/x-www-form-urlencoded" if is_form else "application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert (answer.status_code, path) == (403, path), answer.content
        assert CODE in answer.content.decode().upper(), path
    others.drain()
    assert not UsageEvent.objects.exists()
    assert not CostEvent.objects.exists()  # any tenant: none at all
    assert set(codes()) == {CODE}


def test_of_a_batch_what_is_its_own_counts_and_the_rest_is_told(others):
    own = Customer.objects.get(external_id="cust_1")  # any tenant: the only one
    CustomerAliasFactory(customer=own, label="their-app")
    catalog_changed(others.tenant)
    answer = others.count(
        event(0),
        event(1, customerId="cust_2"),
        event(2, customerId="their-app"),
        event(3, customerId=str(own.pk)),
        event(4, customerId=...),
        event(5, customerId="nobody", metricName="unknown"),
        event(6, customerId="nobody", agentId="their-app"),
        event(7, customerId="nobody", agentId="cust_2"),
        event(8, customerId=..., agentId="cust_2"),
        event(9, customerId="cust_2", agentId="their-app", quantity=-1),
        event(10, customerId="nobody", metricName="system.session.heartbeat", sessionId="s"),
        event(11, customerId="cust_2", metricName="system.session.heartbeat", sessionId="s"),
    )
    refused = [(one["index"], one["code"]) for one in answer.json()["errors"]]
    assert refused == [(index, CODE) for index in (1, 5, 7, 9, 11)]
    assert answer.status_code == 202
    assert outcomes(answer) == {"counted": 6, "unbilled": 1, "dead": 5}
    assert set(UsageEvent.objects.values_list("customer_id", flat=True)) == {own.pk, None}
    assert DeadLetter.objects.count() == 5  # any tenant: of the only one

    others.token = TOKEN  # the tenant's own brings everybody's, and the keys are free
    assert outcomes(others.count(event(1, customerId="cust_2"))) == {"counted": 1}


@pytest.mark.parametrize("name", ["", "x" * 401, "a\x00b"])
def test_what_nobody_can_be_called_is_refused_as_of_any_key(others, name):
    told = [
        others.send(event(1, customerId=name, quantity=-1))
        for others.token in (others.token, TOKEN)
    ]
    assert [one.status_code for one in told] == [422, 422]
    assert told[0].json()["errors"] == told[1].json()["errors"]


def test_agents_are_looked_for_where_the_name_is_nobodys(others, monkeypatch):
    asked = []
    real = own_customer.customers_by_name
    monkeypatch.setattr(
        own_customer, "customers_by_name", lambda *given: asked.append(given[1]) or real(*given)
    )
    others.send(event(1, agentId="bot-1"), event(2, customerId="cust_2", agentId="bot-2"))
    assert asked == [{"cust_1", "cust_2"}]
    others.send(event(3, agentId="bot-1"), event(4, customerId="nobody", agentId="cust_1"))
    assert asked[1:] == [{"cust_1", "nobody"}, {"cust_1"}]


def test_the_drain_has_the_last_word(others, monkeypatch):
    """An alias that the door knew may be another customer's by the time it is counted."""
    theirs = Customer.objects.get(external_id="cust_2")  # any tenant: the only one
    own = Customer.objects.get(external_id="cust_1")  # any tenant: the only one
    alias = CustomerAliasFactory(customer=own, label="their-app")
    assert others.send(event(1, customerId="their-app"), event(2)).json()["failed"] == 0
    CustomerAlias.objects.filter(pk=alias.pk).update(customer=theirs)  # any tenant: by id
    catalog_changed(others.tenant)
    others.drain()
    assert codes() == [CODE]
    assert UsageEvent.objects.get().customer_id == own.pk

    monkeypatch.setattr(door, "others_among", lambda *_: {})
    others.count(event(3, customerId="cust_2"), event(4, customerId="nobody"))
    assert codes() == [CODE] * 3
    assert UsageEvent.objects.count() == 1


def test_files_bring_usage_of_its_own_customer_alone(others):
    rows = "customerId,metricName,quantity\ncust_1,calls,1\ncust_2,calls,1\n,calls,1\n"
    rehearsed = post(others, rows, dryRun="true").json()["uploadId"]
    told = post(others, rows.replace(",1", ",2")).json()["uploadId"]
    read_all(others)
    others.drain()
    assert codes() == [CODE]
    own = Customer.objects.get(external_id="cust_1")  # any tenant: the only one
    assert list(UsageEvent.objects.values_list("customer_id", flat=True)) == [own.pk] * 2
    assert get(others, f"/v1/ingest/upload/{told}").status_code == 200
    assert get(others, f"/v1/ingest/upload/{rehearsed}").json()["failed"] == 1


def test_it_hears_of_what_keys_of_its_customer_sent(others):
    about = {"actor": Actor.system("test"), "now": NOW}
    own, theirs = Subscription.objects.order_by("customer__external_id")  # any tenant: all
    _, beside = issue_subscription_key(subscription=own, name="beside", **about)
    _, strange = issue_subscription_key(subscription=theirs, name="strange", **about)
    file = "customerId,metricName,quantity\ncust_1,calls,1\n"
    batch = others.send(event(1)).json()["batchId"]
    paths = [
        f"/v1/ingest/batches/{batch}",
        f"/v1/ingest/upload/{post(others, file).json()['uploadId']}",
    ]
    for _ in range(2):  # while it waits, and when it is counted
        for path in paths:
            found = [get(others, path, key).status_code for key in (others.token, beside, TOKEN)]
            assert found == [200, 200, 200]
            assert get(others, path, strange).status_code == 404
        read_all(others)

    of_file = f"/v1/ingest/batches/{UploadBatch.objects.get().batch_id}"  # any tenant: the only one
    found = [
        get(others, of_file, key).status_code for key in (others.token, beside, TOKEN, strange)
    ]
    assert found == [200, 200, 200, 404]

    others.token = TOKEN
    sent = others.send(event(2)).json()["batchId"]
    assert get(others, f"/v1/ingest/batches/{sent}", beside).status_code == 404
    post(others, file)
    read_all(others)
    tenants = UploadBatch.objects.latest("id").batch_id  # any tenant: the newest
    assert get(others, f"/v1/ingest/batches/{tenants}", beside).status_code == 404


def test_trying_its_own_event_tells_all(others):
    told = client_with(others.token).post("/v1/ingest/test", event(1), format="json").json()
    assert told["verdict"] == "COUNTED"


def test_what_its_refused_events_are_sent_again_as_is_its_own_all_the_same(others):
    """A replay knows no key: the letter remembers whose it was."""
    theirs = Customer.objects.get(external_id="cust_2")  # any tenant: the only one
    own = Customer.objects.get(external_id="cust_1")  # any tenant: the only one
    alias = CustomerAliasFactory(customer=own, label="their-app")
    Tenant.objects.update(unknown_metric="REJECT")  # any tenant: the only one
    others.count(
        event(1, customerId="cust_2", quantity="x"),
        event(2, customerId=..., agentId="cust_2", quantity="x"),
        event(3, customerId="their-app", metricName="later"),
        event(4, metricName="later"),
    )
    post(others, "customerId,metricName,quantity\ncust_2,calls,-1\ncust_1,calls,-1\n")
    read_all(others)
    others.drain()
    assert codes() == [*["INVALID_EVENT"] * 2, "INVALID_QUANTITY", CODE, *["UNKNOWN_METRIC"] * 2]
    assert set(DeadLetter.objects.values_list("customer_id", flat=True)) == {own.pk}

    CustomerAlias.objects.filter(pk=alias.pk).update(customer=theirs)  # any tenant: by id
    BillableUnitFactory(tenant=others.tenant, name="later")
    catalog_changed(others.tenant)
    for letter in DeadLetter.objects.exclude(code=CODE):
        edit(letter, stored(letter) | {"quantity": 5})
        replay(letter)
    others.drain()
    assert [*UsageEvent.objects.values_list("customer_id", flat=True)] == [own.pk] * 3
    open_ones = DeadLetter.objects.filter(status="OPEN")
    assert {(one.code, one.customer_id) for one in open_ones} == {(CODE, own.pk)}
    assert open_ones.count() == 3


def test_rows_of_others_are_told_as_such_and_count_for_nobody_when_their_unit_is_made(others):
    Tenant.objects.update(unknown_metric="REJECT")  # any tenant: the only one
    rows = "customerId,metricName,quantity\ncust_2,later,1\ncust_1,later,1\n"
    upload = post(others, rows).json()["uploadId"]
    read_all(others)
    others.drain()
    assert codes() == [CODE, "UNKNOWN_METRIC"]
    assert get(others, f"/v1/ingest/upload/{upload}").json()["failed"] == 2
    unit = {"aggregation": "SUM"}
    about = {"actor": Actor.system("test"), "now": NOW}
    create_unit_and_replay(tenant=others.tenant, metric="later", unit=unit, **about)
    others.drain()
    assert codes() == [CODE, "UNKNOWN_METRIC"]
    own = Customer.objects.get(external_id="cust_1")  # any tenant: the only one
    assert UsageEvent.objects.get().customer_id == own.pk


def test_the_same_event_from_a_key_of_the_tenant_is_another_letter(others):
    own = Customer.objects.get(external_id="cust_1")  # any tenant: the only one
    Tenant.objects.update(unknown_metric="REJECT")  # any tenant: the only one
    about = event(1, metricName="later")
    for token in (others.token, TOKEN) * 2:
        others.token = token
        others.count(about)
    letters = DeadLetter.objects.order_by("id").values_list("customer_id", "occurrences")
    assert list(letters) == [(own.pk, 2), (None, 2)]

    define(others.tenant, "later")
    chosen = Chosen(code="UNKNOWN_METRIC")
    decide_now(tenant=others.tenant, act="REPLAY", chosen=chosen, actor=ACTOR, now=NOW)
    assert {one.customer_id for one in waiting()} == {own.pk, None}
    others.drain()
    assert UsageEvent.objects.count() == 1  # of the four, under one key
