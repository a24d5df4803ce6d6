"""What Redis holds of margins: under which names, from which rows, and after a failover."""

from decimal import Decimal

import msgspec
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo import valkey
from catalog.models import BillableUnit
from metering.entitlements.decisions import Held, feature_access, quota_check
from metering.entitlements.standing import Quota, Span, Standing, encode
from metering.entitlements.state import MARGIN, MarginState, Version, key_of, put_margin
from metering.margin.answers import stored_answers
from metering.models import MarginGuard
from tests.metering.margin.test_evaluation import answer, calls, guard, look, spend

__all__ = ["guard", "look"]
LONG_AFTER = Version(9_999_999_999_999_999, 1)  # of a server that is no more


def test_a_guard_of_a_unit_speaks_for_the_metric_that_it_counts(seller, guard, look):
    unit = BillableUnit.objects.get(name="calls")
    guard("unit", unit=unit, throttle_rate=40)
    calls(seller, 500)
    BillableUnit.objects.filter(pk=unit.pk).update(source_metric="api.calls")
    spend(seller, "8.7", metric="calls")  # 8 %
    look()
    told = answer(seller)
    assert told.level == "NONE"
    assert {name: one.level for name, one in told.by_metric.items()} == {
        "api.calls": "L2_THROTTLE",
        "calls": "L2_THROTTLE",
    }
    guard("all", throttle_rate=60)  # as low, and lets more pass
    look()
    told = answer(seller)
    assert (told.level, told.throttle_rate) == ("L2_THROTTLE", 60)
    assert told.by_metric["api.calls"].throttle_rate == 40


def test_rows_hold_all_that_is_told_of_who_was_held(seller, guard, look):
    guard("all", throttle_rate=60)
    guard("unit", unit=BillableUnit.objects.get(name="calls"), throttle_below=15)
    guard("careful", mode="ALERT_ONLY", block_below=19, throttle_below=19)
    calls(seller, 500)
    look()
    assert stored_answers(seller.tenant.pk, {"cust_1"}) == {}  # never held
    for amount in ("8", "0.8", "1.2"):  # 15 %, 7 %, -5 %
        spend(seller, amount, metric="calls", idempotency_key=amount)
        look()
        assert stored_answers(seller.tenant.pk, {"cust_1"}) == {"cust_1": answer(seller)}
    calls(seller, 5000, start=500)  # 110 in, 15.5 out
    look()
    told = answer(seller)
    assert (told.level, told.by_metric) == ("NONE", {})
    with CaptureQueriesContext(connection) as captured:
        assert stored_answers(seller.tenant.pk, {"cust_1", "other"}) == {"cust_1": told}
    assert len(captured) == 1
    calls(seller, 10, start=6000)
    look()
    assert stored_answers(seller.tenant.pk, {"cust_1"}) == {"cust_1": answer(seller)}
    MarginGuard.objects.update(is_active=False)
    assert stored_answers(seller.tenant.pk, {"cust_1"}) == {"cust_1": MarginState()}


def test_a_level_of_a_server_that_is_no_more_gives_way(seller, guard, look):
    """A standby that takes over may have begun before the server whose commits were lost."""
    guard()
    calls(seller, 500)
    lost = {"cust_1": MarginState("L3_BLOCK", percent=Decimal(-5))}
    put_margin(seller.tenant.pk, lost, version=LONG_AFTER)
    look()
    assert answer(seller) == MarginState(percent=Decimal(95))
    spend(seller, "8")
    put_margin(seller.tenant.pk, lost, version=LONG_AFTER)
    look()
    assert answer(seller).level == "L1_ALERT"
    kept = valkey.client().hget(key_of(seller.tenant.pk, "cust_1"), MARGIN)
    assert not kept.startswith(b"9999999999999999:")


def test_numbers_that_stand_are_not_written_again(seller, guard, look):
    guard()
    calls(seller, 500)
    spend(seller, "8")
    look()
    with CaptureQueriesContext(connection) as captured:
        look()
    assert not [q for q in captured if 'UPDATE "margin_states"' in q["sql"]]


def test_a_unit_is_not_blocked_for_another_that_counts_the_same_metric():
    units = {name: Quota(name, "api.calls") for name in ("cheap", "dear")}
    span = Span("p", 0, 10, "Pro", {}, units)
    blocked = MarginState("L3_BLOCK")
    held = Held(
        {
            b"s": b"1:1 " + encode(Standing("id", "cust_1", (span,))),
            b"m": b"1:1 "
            + msgspec.json.encode(MarginState(by_metric={"dear": blocked, "api.calls": blocked})),
        }
    )
    assert feature_access(held, "cheap", at=1).reason.value == "OK"
    assert feature_access(held, "dear", at=1).reason.value == "MARGIN_BLOCKED"
    asked = quota_check(held, "api.calls", at=1, quantity=Decimal(1))
    assert asked.reason.value == "MARGIN_BLOCKED"
