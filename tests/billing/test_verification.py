from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Invoice
from billing.services.invoices import bill_periods
from billing.verification import verify_invoice
from metering import proof
from metering.models import UsageEvent
from metering.selectors import events
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.billing.services.test_consolidation import billed as billed_family
from tests.billing.services.test_consolidation import family
from tests.factories import RatePlanVersionFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)
GRADUATED = {
    "model": "GRADUATED",
    "tiers": [{"tierEnd": "100", "unitPrice": "0.03"}, {"tierEnd": -1, "unitPrice": "0.025"}],
}
PER_CALL = {"model": "PER_UNIT", "rate": "1", "includedFree": "2"}


def billed(*prices, quantities=("60.5", 50, 40), metadata=None, **fields):
    period, units = priced_subscription(*(prices or (GRADUATED,)), **fields)
    for unit in units:
        meter(period, unit, quantities, metadata=metadata)
    run = bill_run(period.tenant, auto_finalize=True, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def change(sql, *parameters):
    """What somebody with the database's password could do."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger is in the way
        cursor.execute(sql, parameters)
        assert cursor.rowcount == 1
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.parametrize("aggregation", ["COUNT", "SUM", "MAX", "UNIQUE"])
@pytest.mark.parametrize("price", [GRADUATED, PER_CALL, {"model": "FLAT_RATE", "flatRate": "9"}])
def test_an_untouched_invoice_is_verified(aggregation, price):
    users = {0: '{"user":"a"}', 1: '{"user":"b"}', 2: '{"user":"a"}'}
    verification = verify_invoice(billed(price, aggregation=aggregation, metadata=users))
    assert verification.broken == ()
    claims = [step.claim for step in verification.steps if step.line == 1]
    assert claims == [
        "events", "quantity", "revenue", "terms", "price", "marginals", "charges", "amount",
    ]  # fmt: skip


def test_a_partial_period_and_its_fees_are_verified():
    invoice = billed(
        {"model": "FLAT_RATE", "flatRate": "31"},
        quantities=(),
        base_fee="10",
        minimum_spend="100",
        discount_percent="5",
        discount_amount="1",
        start_at=datetime(2026, 3, 16, tzinfo=UTC),
    )
    assert verify_invoice(invoice).holds


CHANGES = {
    "running_total_id": "running_total_id = running_total_id + 1000",
    "position": '"position" = 7',
    "plan_version_id": "plan_version_id = gen_random_uuid()",
    "subscription_id": "subscription_id = gen_random_uuid()",
    "customer_id": "customer_id = gen_random_uuid()",
    "unit_id": "unit_id = gen_random_uuid()",
    "metric": "metric = metric || 'x'",
    "idempotency_key": "idempotency_key = idempotency_key || 'x'",
    "quantity": "quantity = quantity + 0.000000000001",
    "revenue": "revenue = revenue + 0.000000000000000001",
    "cost": "cost = cost + 1",
    "occurred_at": "occurred_at = occurred_at + interval '1 microsecond'",
    "received_at": "received_at = received_at + interval '1 microsecond'",
    "late": "late = NOT late",
    "product_type": "product_type = NULL",
    "session_id": "session_id = ''",
    "agent_id": "agent_id = NULL",
    "tool_name": "tool_name = tool_name || 'x'",
    "trace_id": "trace_id = NULL",
    "metadata": "metadata = replace(metadata, 'x', 'y')",
    "source": "source = 'UPLOAD'",
    "batch_id": "batch_id = gen_random_uuid()",
    "batch_index": "batch_index = batch_index + 1",
}


def test_each_hashed_column_has_a_change_here():
    assert tuple(CHANGES) == proof.HASHED_COLUMNS


@pytest.mark.parametrize("column", CHANGES)
def test_one_changed_byte_names_the_line_and_the_event(column):
    invoice = billed(PER_CALL, GRADUATED, aggregation="SUM")
    usage = invoice.lines.get(position=2)
    total_id = usage.spans.get().running_total_id
    change(
        f'UPDATE usage_events SET {CHANGES[column]} WHERE running_total_id = %s AND "position" = 2',
        total_id,
    )
    verification = verify_invoice(invoice)
    assert not verification.holds
    first = verification.broken[0]
    assert (first.claim, first.line) == ("events", 2)
    assert "position 2" in first.found
    assert {step.line for step in verification.broken} == {2}


def test_a_consolidated_invoice_is_proven_by_its_parts(queued):
    parent, _ = family(2)
    billed_family(parent)
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    claims = [step.claim for step in verify_invoice(whole).steps]
    assert claims == ["part", "part", "digest", "subtotal", "discounts", "tax", "total"]
    assert verify_invoice(whole).holds
    part = Invoice.objects.get(part_of=whole, number__endswith="/2")
    change("UPDATE invoice_lines SET amount = amount + 1 WHERE invoice_id = %s", part.pk)
    broken = verify_invoice(whole).broken
    assert {step.found.split(":")[0].split(",")[0] for step in broken} == {str(part)}
    change("UPDATE invoice_lines SET amount = amount - 1 WHERE invoice_id = %s", part.pk)
    change("UPDATE invoices SET subtotal = subtotal + 1, total = total + 1 WHERE id = %s", whole.pk)
    whole.refresh_from_db()
    assert [step.claim for step in verify_invoice(whole).broken] == ["subtotal", "total"]


def test_a_changed_digest_is_named():
    invoice = billed()
    change("UPDATE usage_events SET digest = sha256('x') WHERE \"position\" = 3")
    assert "position 3" in verify_invoice(invoice).broken[0].found


def test_a_deleted_last_event_is_named():
    invoice = billed()
    change('DELETE FROM usage_events WHERE "position" = 3')
    assert verify_invoice(invoice).broken[0].found == "the events from position 3 on are missing"


def test_an_event_put_in_is_named():
    invoice = billed()
    event = UsageEvent.objects.get(position=2)
    event.pk = None
    event.save(force_insert=True)
    assert "position 2 holds more than one event" in verify_invoice(invoice).broken[0].found


def test_a_forged_chain_does_not_reach_the_digest_that_was_billed():
    invoice = billed(aggregation="SUM")
    span = invoice.lines.get().spans.get()
    secret = bytes(32)  # a forger does not have the tenant's
    chain = proof.Chain(proof.total_key(secret, span.running_total_id))
    for event in list(events.events_of_span(span.running_total_id, 1, 3)):
        forged = event._replace(quantity=event.quantity * 2)
        change(
            'UPDATE usage_events SET quantity = %s, digest = %s WHERE "position" = %s',
            forged.quantity,
            chain.append(forged.canonical()),
            event.position,
        )
    broken = verify_invoice(invoice).broken
    assert broken[0].claim == "events"
    assert "position 1" in broken[0].found


@pytest.mark.parametrize(
    ("column", "value", "claims"),
    [
        ("quantity", "1", {"quantity"}),
        ("exact_amount", "1", {"price", "charges", "amount"}),
        ("amount", "9.99", {"amount", "subtotal", "total"}),
        ("terms", '{"model": "PER_UNIT", "rate": "5"}', {"terms", "price", "marginals"}),
        ("terms", '{"model": "GUESSED"}', {"evidence"}),
        ("charges", "[]", {"charges"}),
    ],
)
def test_a_changed_line_is_named(column, value, claims):
    invoice = billed(aggregation="SUM")
    change(f"UPDATE invoice_lines SET {column} = %s", value)
    verification = verify_invoice(invoice)
    assert {step.claim for step in verification.broken} == claims
    assert {step.line for step in verification.broken if step.line} == {1}


@pytest.mark.parametrize("column", ["subtotal", "discount_total", "tax_total", "total"])
def test_changed_sums_are_named(column):
    invoice = billed()
    setattr(invoice, column, getattr(invoice, column) + 1)
    claim = {"discount_total": "discounts", "tax_total": "tax"}.get(column, column)
    assert [step.claim for step in verify_invoice(invoice).broken] == [claim]


def test_a_changed_digest_of_the_invoice_is_named():
    invoice = billed()
    invoice.digest = bytes(32)
    assert [step.claim for step in verify_invoice(invoice).broken] == ["digest"]


def test_a_line_without_its_span_is_named():
    invoice = billed()
    change("DELETE FROM bill_run_event_index")
    assert verify_invoice(invoice).broken[0].claim == "evidence"


def test_events_are_walked_in_pieces_and_rows_read_once(monkeypatch):
    monkeypatch.setattr(events, "ROWS_AT_A_TIME", 10)
    counts = []
    for units in (1, 4):
        tenant_units = [PER_CALL] * units
        invoice = billed(*tenant_units, quantities=[1] * 35)
        with CaptureQueriesContext(connection) as queries:
            assert verify_invoice(invoice).holds
        counts.append(len(queries) - units)
    assert counts[0] == counts[1]


def test_two_plans_with_one_unit_are_verified_apart():
    period, (unit,) = priced_subscription(PER_CALL)
    other = RatePlanVersionFactory(tenant=period.tenant, prices={unit: GRADUATED}, published=True)
    period.subscription.plans.create(tenant=period.tenant, version=other, position=1)
    meter(period, unit, [1, 1, 1], version=period.subscription.plans.get(position=0).version)
    meter(period, unit, [1, 1, 1], version=other)
    run = bill_run(period.tenant, auto_finalize=True)
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    invoice = Invoice.objects.get()
    assert invoice.lines.count() == 2
    assert verify_invoice(invoice).holds
