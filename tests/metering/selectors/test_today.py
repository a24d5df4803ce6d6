"""The figures of today, of which a replay is no part of what came."""

from metering.selectors.today import today_of
from tests.metering.conftest import NOW, subscribe
from tests.metering.events import event
from tests.metering.letters import replay, the_letter


def test_a_replay_brings_no_event_of_today(seller):
    seller.count(event(1), event(2, customerId="cust_2"))
    assert today_of([seller.tenant.pk], since=NOW).events == 2
    subscribe(seller.tenant, "cust_2")
    replay(the_letter())
    seller.drain()
    today = today_of([seller.tenant.pk], since=NOW)
    assert (today.events, today.dead_letters) == (2, 0)
