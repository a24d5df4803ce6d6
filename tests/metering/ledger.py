"""What must always hold of running totals and their events, computed with the standard library."""

import hashlib
import hmac
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from django.db.models import Sum

from aforo.money import ZERO, exact, plain
from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit, SubscriptionPeriod
from catalog.pricing import Usage
from catalog.selectors.prices import prices_of_totals, with_rollover
from metering.aggregation.state import usage_in
from metering.models import (
    DeadLetter,
    EventKey,
    HeldEvent,
    InboxBatch,
    Receipt,
    RunningTotal,
    UniqueValue,
    UsageEvent,
)
from tests.metering import aggregations

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _microseconds(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def hashed(row):
    """The bytes of one stored event that its hash is made of."""
    values = [
        row.running_total_id,
        row.position,
        str(row.plan_version_id),
        str(row.subscription_id),
        str(row.customer_id),
        str(row.unit_id),
        row.metric,
        row.idempotency_key,
        plain(row.quantity),
        plain(row.revenue),
        plain(row.cost),
        _microseconds(row.occurred_at),
        _microseconds(row.received_at),
        row.late,
        row.product_type,
        row.session_id,
        row.agent_id,
        row.tool_name,
        row.trace_id,
        row.metadata,
        row.source,
        str(row.batch_id),
        row.batch_index,
    ]
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def assert_chain_holds(total, rows):
    """Positions without gaps, and every stored digest follows from the one before."""
    secret = bytes(Tenant.objects.get(id=total.tenant_id).hash_secret)
    key = hmac.digest(secret, f"running_total:{total.id}".encode(), "sha256")
    digest = bytes(32)
    assert [row.position for row in rows] == list(range(1, total.position + 1))
    for row in rows:
        event_hash = hmac.digest(key, hashed(row), "sha256")
        digest = hashlib.sha256(digest + event_hash).digest()
        assert bytes(row.digest) == digest
    assert bytes(total.digest) == digest


def quantity_of(total, unit, rows):
    carried = total.carried or ZERO
    events = [(_microseconds(row.occurred_at), row.idempotency_key, row.quantity) for row in rows]
    return {
        "COUNT": lambda: len(rows),
        "SUM": lambda: sum((row.quantity for row in rows), carried),
        "MAX": lambda: max(carried, *(row.quantity for row in rows), ZERO),
        "UNIQUE": lambda: UniqueValue.objects.filter(running_total_id=total.id).count(),
        "LATEST": lambda: aggregations.latest(events, carried),
        "AVG": lambda: aggregations.average(events),
        "PERCENTILE_95": lambda: aggregations.percentile_95(events),
        "WEIGHTED_SUM": lambda: aggregations.weighted(events, *_span(total), carried),
    }[unit.aggregation]()


def _span(total):
    period = SubscriptionPeriod.objects.get(id=total.period_id)
    return _microseconds(period.start_at), _microseconds(period.end_at)


def terms_of(total):
    key = (total.period_id, total.plan_version_id, total.unit_id)
    terms = prices_of_totals(total.tenant_id, [key])[key].terms
    return with_rollover(terms.of_dimension(total.dimension), total.rollover)


def assert_total_is_priced(total, rows):
    """Quantity, revenue and cost of a total are those of its events, to the last digit."""
    unit = BillableUnit.objects.get(id=total.unit_id)
    terms = terms_of(total)
    sums = {"amount": Sum("amount", default=ZERO), "cost": Sum("cost", default=ZERO)}
    adjusted = total.adjustments.aggregate(**sums)
    with exact():
        assert total.quantity == quantity_of(total, unit, rows)
        assert total.revenue == sum((row.revenue for row in rows), ZERO)
        assert total.cost == sum((row.cost for row in rows), adjusted["cost"])
        assert total.cost == unit.unit_cost * total.quantity
        charged = terms.charge(usage_in(total.quantity, total.event_count, total.state))
        assert terms.charge(Usage(ZERO)) + total.revenue + adjusted["amount"] == charged
    assert total.event_count == total.position == len(rows)


def assert_totals_hold():
    """Every total is the sum of its events, priced exactly, in an unbroken chain."""
    rows_of = defaultdict(list)
    counted = UsageEvent.objects.filter(running_total_id__isnull=False)
    for row in counted.order_by("running_total_id", "position"):
        rows_of[row.running_total_id].append(row)
    for total in RunningTotal.objects.all():
        rows = rows_of.pop(total.id, [])
        assert_chain_holds(total, rows)
        assert_total_is_priced(total, rows)
    assert not rows_of


def assert_nothing_is_lost(received):
    """Each event that was answered 202 (or refused with 422) is in exactly one place."""
    waiting = InboxBatch.objects.aggregate(n=Sum("event_count", default=0))["n"]
    sums = Receipt.objects.aggregate(
        received=Sum("event_count", default=0),
        live=Sum("counted", default=0) + Sum("unbilled", default=0) + Sum("held", default=0),
        dead=Sum("dead", default=0),
    )
    assert waiting + sums["received"] == received
    assert DeadLetter.objects.aggregate(n=Sum("occurrences", default=0))["n"] == sums["dead"]
    assert EventKey.objects.count() == sums["live"]
    places = UsageEvent.objects.values("tenant_id", "idempotency_key").distinct().count()
    held = HeldEvent.objects.values("tenant_id", "idempotency_key").distinct().count()
    assert places + held == sums["live"]
