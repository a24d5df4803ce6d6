"""The hash of a customer: an older version never takes the place of a newer one."""

from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest

from aforo import valkey
from metering.entitlements import state
from metering.entitlements.state import Field, MarginState, Refusal, Version


def stored(tenant_id, customer, field):
    return valkey.client().hget(state.key_of(tenant_id, customer), field)


def test_an_older_version_never_replaces_a_newer_one():
    tenant_id = uuid4()
    newer, older = Version(5, 12), Version(5, 11)
    assert state.put(tenant_id, {"c": [Field("s", newer, b"new")]}) == []
    assert state.put(tenant_id, {"c": [Field("s", older, b"old")], "d": []}) == [
        Refusal("c", "s", "5:12")
    ]
    assert stored(tenant_id, "c", "s") == b"5:12 new"


@pytest.mark.parametrize("other", [Version(5, 12), Version(6, 1), Version(5, 1000000)])
def test_the_same_version_and_newer_ones_replace(other):
    tenant_id = uuid4()
    state.put(tenant_id, {"c": [Field("s", Version(5, 12), b"one")]})
    assert state.put(tenant_id, {"c": [Field("s", other, b"two")]}) == []
    assert stored(tenant_id, "c", "s").endswith(b" two")


def test_a_higher_version_gives_way_when_it_is_named_and_garbage_always():
    tenant_id, key = uuid4(), None
    key = state.key_of(tenant_id, "c")
    valkey.client().hset(key, mapping={"s": b"99:99 wrong", "m": b"no version"})
    fields = [
        Field("s", Version(5, 1), b"right", but="99:99"),
        Field("m", Version(5, 1), b"right"),
    ]
    assert state.put(tenant_id, {"c": fields}) == []
    assert valkey.client().hgetall(key) == {b"s": b"5:1 right", b"m": b"5:1 right"}


@pytest.mark.django_db
def test_margins_are_put_in_the_order_of_their_reading():
    tenant_id = uuid4()
    first, second = state.reading(), state.reading()
    assert first.started == second.started
    assert first.number < second.number
    blocked = MarginState("L3_BLOCK", Decimal("-12.5"), message="below cost")
    state.put_margin(tenant_id, {"c": blocked}, version=second)
    assert state.put_margin(tenant_id, {"c": MarginState()}, version=first) == [
        Refusal("c", "m", str(second))
    ]
    text = stored(tenant_id, "c", "m").partition(b" ")[2]
    assert msgspec.json.decode(text, type=MarginState) == blocked
