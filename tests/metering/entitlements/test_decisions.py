"""What is decided from what is held, without anybody who asks."""

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from metering.entitlements import answers
from metering.entitlements.decisions import Held, feature_access, quota_check
from metering.entitlements.standing import Granted, Quota, Span, Standing, encode
from metering.entitlements.state import MarginState

CALLS = {"calls": Quota("ab", "api.calls")}


def held_of(features, margin=None):
    span = Span("p", 0.0, 1000.0, "Pro", features, CALLS)
    fields = {b"s": b"1:1 " + encode(Standing("id", "c", (span,)))}
    if margin:
        fields[b"m"] = b"1:1 " + msgspec.json.encode(margin)
    return Held(fields)


def test_an_override_that_has_expired_stands_before_no_unit_of_its_name():
    trial = Granted("LIMIT", limit=Decimal(5), unit="calls", until=100.0)
    off = Granted("LIMIT", is_enabled=False, unit="calls")
    held, synced = held_of({"calls": (trial,)}), held_of({})
    at_once = feature_access(held, "calls", at=100.0)
    assert (at_once.reason, at_once.limit) == ("OK", None)
    assert replace(at_once, span=None) == replace(
        feature_access(synced, "calls", at=100.0), span=None
    )
    assert feature_access(held, "calls", at=99.0).limit == 5
    switched_off = feature_access(held_of({"calls": (trial, off)}), "calls", at=100.0)
    assert switched_off.reason == "FEATURE_NOT_IN_PLAN"


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({}, "L1_ALERT"),
        ({"calls": MarginState("L2_THROTTLE", throttle_rate=40)}, "L2_THROTTLE"),
        (
            {
                "calls": MarginState("L2_THROTTLE", throttle_rate=40),
                "tokens": MarginState("L3_BLOCK", throttle_rate=50),
            },
            "L3_BLOCK",
        ),
    ],
)
def test_who_names_no_metric_is_under_the_strictest_of_all_guards(levels, expected):
    held = held_of({"sso": (Granted("BOOLEAN"),)}, MarginState("L1_ALERT", by_metric=levels))
    nameless = quota_check(held, None, at=1.0, quantity=Decimal(1))
    assert nameless.margin.level == expected == held.margin_of("").level
    assert nameless.allowed is (expected != "L3_BLOCK")
    assert held.margin_of("other").level == "L1_ALERT"
    assert feature_access(held, "sso", at=1.0).margin.level == "L1_ALERT"  # it named what it is


def test_of_two_that_throttle_the_one_that_lets_less_pass_is_the_strictest():
    def throttled(percent, rate=None):
        return MarginState("L2_THROTTLE", throttle_rate=percent, requests_per_second=rate)

    fast, slow = throttled(40, Decimal(5)), throttled(40, Decimal("0.5"))
    levels = {"a": throttled(50, Decimal("0.1")), "b": throttled(40), "c": fast, "d": slow}
    assert held_of({}, MarginState(by_metric=levels)).margin_of(None) == slow


def test_numbers_are_told_with_all_their_digits():
    for digits in ("123456789012345678901234.123456789012", "1234567890123456789012345678901"):
        assert str(answers.shown(Decimal(digits + ("000" if "." in digits else "")))) == digits
