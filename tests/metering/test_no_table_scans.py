"""No hot query reads a whole table: what runs is explained again over tables that are full."""

import json
from dataclasses import dataclass, field

import psycopg
import pytest
from django.contrib import admin
from django.db import connection, transaction
from django.urls import reverse

from metering.ingest import connection as hot
from metering.models import RunningTotal, UsageEvent
from metering.services.ingest import drain_once
from tests.clients import operator_client
from tests.factories import BillableUnitFactory, RatePlanVersionFactory, SandboxFactory
from tests.metering.admin.test_admin import browser_of, member_of
from tests.metering.conftest import NOW, subscribe
from tests.metering.events import event

ROWS = 20_000  # of each table that grows
BIG = 10_000  # estimated rows of a relation that may not be read as a whole
TENANTS = 20
GROWING = (
    "usage_events",
    "event_keys",
    "receipts",
    "raw_payloads",
    "running_totals",
    "unique_values",
    "dead_letters",
    "held_events",
    "sessions",
    "cost_events",
    "customers",
    "customer_aliases",
    "subscriptions",
    "subscription_plans",
)
OWN = {  # what a copy must not share with the row that it is made of
    "k": "gen_random_uuid()",
    "body": "gen_random_uuid()",
    "batch_id": "uuidv7()",
    "subscription_id": "gen_random_uuid()",
    "value": "gen_random_uuid()",
    "fingerprint": "gen_random_uuid()",
    "idempotency_key": "'other-' || g",
    "external_id": "'other-' || g",
    "session_id": "'other-' || g",
    "period_id": "gen_random_uuid()",
    "running_total_id": "1000 + g",
    "digest": "decode(md5(g::text) || md5(g::text), 'hex')",
    "bucket": "g % 256",
    "occurred_at": "t.occurred_at - g * interval '1 second'",
    "received_at": "t.received_at - g * interval '1 second'",
    "drained_at": "t.drained_at - g * interval '1 second'",
    "last_seen_at": "t.last_seen_at - g * interval '1 second'",
}


@dataclass
class Recorded:
    """The statements that ran, with the parameters of their first run."""

    statements: dict[str, tuple] = field(default_factory=dict)

    def note(self, query, params, *, is_hot):
        if isinstance(query, str) and self.is_explainable(query):
            self.statements.setdefault(query, (params, is_hot))

    @staticmethod
    def is_explainable(query):
        words = query.split(None, 1)
        verbs = {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}
        return bool(words) and words[0].upper() in verbs and "generate_series" not in query


@pytest.fixture
def recorded(monkeypatch):
    """Records what the drain, the API and the admin ask from here on."""
    notes = Recorded()
    real = hot._HotCursor.execute

    def execute(self, query, params=None, **more):
        notes.note(query, params, is_hot=True)
        return real(self, query, params, **more)

    monkeypatch.setattr(hot._HotCursor, "execute", execute)

    def wrapper(run, sql, params, many, context):
        notes.note(sql, params, is_hot=False)
        return run(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        yield notes


@pytest.fixture
def full(seller):
    """One row of everything that a sender leaves behind, and ROWS of each among other tenants."""
    users = BillableUnitFactory(
        tenant=seller.tenant, name="users", aggregation="UNIQUE", event_field="user"
    )
    version = RatePlanVersionFactory(
        tenant=seller.tenant, prices={users: {"model": "PER_UNIT", "rate": "1"}}, published=True
    )
    subscription = subscribe(seller.tenant, "cust_2", version)
    subscription.customer.aliases.create(tenant=seller.tenant, digest=bytes(32), created_at=NOW)
    traffic(seller, 0)
    RunningTotal.objects.filter(unit_id=users.id).update(
        billed_position=1, billed_quantity=1, billed_event_count=1, billed_revenue=1
    )
    seller.count(event("held", customerId="cust_2", metricName="users", metadata={"user": "x"}))
    seller.post(
        json.dumps({"kind": "OTHER", "amount": "1", "currency": "USD", "customerId": "cust_1"}),
        path="/v1/ingest/cogs",
    )
    tenants = [tenant.pk for tenant in SandboxFactory.create_batch(TENANTS)]
    with connection.cursor() as cursor:
        for table in GROWING:
            multiply(cursor, table, tenants)
    return seller


def multiply(cursor, table, tenants):
    """ROWS copies of one row, among other tenants. Nobody checks to whom copies refer."""
    cursor.execute("SET LOCAL session_replication_role = replica")
    cursor.execute(
        "SELECT column_name, is_identity, data_type FROM information_schema.columns"
        " WHERE table_name = %s AND is_generated = 'NEVER'",
        (table,),
    )
    columns, values = [], []
    for name, identity, kind in cursor.fetchall():
        if identity == "YES":
            continue
        columns.append(f'"{name}"')
        if name == "tenant_id":
            listed = ", ".join(f"'{one}'" for one in tenants)
            values.append(f"(ARRAY[{listed}]::uuid[])[1 + g % {TENANTS}]")
        elif name == "id" and kind == "uuid":
            values.append("uuidv7()")
        elif name in OWN and not (kind == "bytea" and name == "body"):
            values.append(OWN[name])
        else:
            values.append(f't."{name}"')
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM (SELECT * FROM {table} LIMIT 1) AS t, generate_series(1, {ROWS}) AS g"
    )
    assert cursor.rowcount == ROWS, table
    cursor.execute("SET LOCAL session_replication_role = origin")
    cursor.execute(f"ANALYZE {table}")


def traffic(seller, number):
    """Events of every fate, with sessions and heartbeats."""
    seller.count(
        event(f"a{number}", sessionId=f"s{number}", metadata={"model": "m"}),
        event(f"a{number}", sessionId=f"s{number}", metadata={"model": "m"}),
        event(f"b{number}", metricName="tokens", quantity=2),
        event(f"c{number}", customerId="cust_2", metricName="users", metadata={"user": number}),
        event(f"d{number}", customerId="nobody"),
        event(f"e{number}", quantity=-1),
        event(f"f{number}", metricName="system.session.heartbeat", sessionId=f"s{number}"),
    )


def scans(node, *, is_bounded=False):
    """The relations that a plan reads from end to end; the first rows of one are no scan."""
    kind = node["Node Type"]
    if kind == "Seq Scan" and not (is_bounded and "Filter" not in node):
        yield node["Relation Name"]
    passes = kind in {"Append", "Subquery Scan"} and is_bounded
    for child in node.get("Plans", ()):
        yield from scans(child, is_bounded=passes or kind == "Limit")


def big_relations():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE reltuples >= %s", (BIG,))
        return {name for (name,) in cursor.fetchall()}


def scanned(recorded):
    """Statements that read a big relation from end to end, each with its name."""
    big, found = big_relations(), []
    for query, (params, is_hot) in list(recorded.statements.items()):
        names = explained(query, params, is_hot) & big
        found += [(name, " ".join(query.split())) for name in sorted(names)]
    return found


def explained(query, params, is_hot):
    """What the planner would scan, asked in the way in which the statement itself was."""
    sql = f"EXPLAIN (FORMAT JSON) {query}"
    with transaction.atomic():
        if is_hot:
            with hot.hot_cursor() as cursor:
                row = psycopg.Cursor.execute(cursor, sql, params).fetchone()
        else:
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
                row = cursor.fetchone()
    plan = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return set(scans(plan[0]["Plan"]))


def test_no_hot_query_scans_a_table(full, recorded, monkeypatch):
    """One filling for all of them: it takes most of the time."""
    list(UsageEvent.objects.filter(metric="nobody"))
    assert {name for name, _ in scanned(recorded)} == {"usage_events_default"}  # it would be seen
    monkeypatch.setattr("metering.admin.events.LATEST", 500)
    recorded.statements.clear()
    traffic(full, 1)
    fill_the_inbox(full)
    assert drain_once(shard=0, shards=1, now=NOW, limit=50)
    asked = " ".join(recorded.statements)
    for table in ("event_keys", "inbox_batches", "running_totals", "raw_payloads", "dead_letters"):
        assert f" {table}" in asked
    ask_the_api(full)
    ask_the_admin(member_of(full.tenant))
    ask_the_admin(browser_of(is_superuser=True))
    assert scanned(recorded) == []


def fill_the_inbox(full):
    full.send(event("waits"))
    with connection.cursor() as cursor:
        multiply(cursor, "inbox_batches", [tenant.pk for tenant in SandboxFactory.create_batch(20)])


def ask_the_api(full):
    client = operator_client(full.tenant)
    row = UsageEvent.objects.filter(tenant_id=full.tenant.pk, metric="calls").order_by("id")[0]
    for query in (
        {},
        {"metric": "calls"},
        {"sessionId": "s0", "late": "false"},
        {"idempotencyKey": "key-a0"},
        {"batchId": row.batch_id},
        {"customerId": "cust_1"},
        {"subscriptionId": row.subscription_id},
        {"from": "2026-03-15T00:00:00Z", "to": "2026-03-16T00:00:00Z"},
    ):
        assert client.get("/api/v1/usage-events", query).status_code == 200
    for path in (
        f"/api/v1/usage-events/{row.pk}",
        f"/v1/ingest/batches/{row.batch_id}",
        "/api/v1/dead-letters",
        "/api/v1/held-events",
        "/api/v1/sessions",
        "/api/v1/cost-events",
    ):
        assert client.get(path).status_code == 200, path
    assert client.post("/v1/ingest/test", event(7), format="json").status_code == 200


def ask_the_admin(browser):
    for model in admin.site._registry:
        if model._meta.app_label == "metering" and model._meta.db_table in GROWING:
            listed = reverse(f"admin:metering_{model._meta.model_name}_changelist")
            assert browser.get(listed).status_code == 200, listed
