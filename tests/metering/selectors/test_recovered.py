"""Leakage that was prevented: the price of what was refused first and counted after all."""

from datetime import timedelta
from decimal import Decimal

from django.db import connection

from metering.selectors.recovered import Recovered, recovered_revenue
from tests.metering.conftest import NOW, subscribe
from tests.metering.events import event
from tests.metering.letters import replay, the_letter

NOTHING = Recovered(0, {})


def test_replayed_events_are_worth_their_price(seller):
    seller.count(
        event(1),
        event(2, customerId="cust_2", metricName="tokens", quantity=1_200),
    )
    assert recovered_revenue(seller.tenant.pk, since=NOW) == NOTHING
    subscribe(seller.tenant, "cust_2")
    replay(the_letter())
    assert recovered_revenue(seller.tenant.pk, since=NOW) == NOTHING
    seller.drain()
    recovered = recovered_revenue(seller.tenant.pk, since=NOW)
    assert recovered == Recovered(1, {"USD": Decimal("11.000")})
    assert recovered.in_currency("USD") == Decimal(11)
    assert recovered.in_currency("EUR") == 0


def test_only_replays_of_the_time_and_the_tenant_are_summed(seller):
    seller.count(event(customerId="cust_2"))
    subscribe(seller.tenant, "cust_2")
    replay(the_letter())
    seller.drain()
    later = NOW + timedelta(seconds=1)
    assert recovered_revenue(seller.tenant.pk, since=later) == NOTHING
    assert recovered_revenue(seller.tenant.pk, since=NOW, until=NOW) == NOTHING
    assert recovered_revenue(seller.tenant.pk, since=NOW, until=later).events == 1
    assert recovered_revenue(seller.tenant.live_twin_id, since=NOW) == NOTHING


def test_what_is_unbilled_recovers_nothing(seller):
    seller.tenant.refresh_from_db()
    seller.count(event(customerId="cust_2", metricName="calls"))
    replay(the_letter())
    seller.drain()
    assert recovered_revenue(seller.tenant.pk, since=NOW) == NOTHING


def test_no_event_is_scanned_for_it(seller):
    seller.count(*(event(number) for number in range(50)))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT sum(revenue) FROM usage_events"
            " WHERE batch_id = ANY(ARRAY[gen_random_uuid()]) AND source = 'REPLAY'"
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in plan
    assert "batch_id" in plan
