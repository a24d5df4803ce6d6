"""Rates of keys: what a limited key may send in a minute, counted by all processes together."""

from uuid import uuid4

import pytest

from aforo import valkey
from aforo.api.rates import RATES, RateExceeded, Rates
from tests.factories import OperatorKeyFactory
from tests.threads import in_threads

MOMENT = 1_800_000_010.0  # ten seconds into a minute


class Time:
    def __init__(self):
        self.now = 0.0

    def process(self):
        return Rates(clock=lambda: MOMENT + self.now, ticks=lambda: self.now)


@pytest.fixture
def time():
    return Time()


def test_a_key_without_a_limit_is_never_looked_at(time, monkeypatch):
    monkeypatch.setattr("aforo.valkey.client", None)
    rates = time.process()

    rates.require(uuid4(), None)

    assert rates.add(uuid4(), None, 1000) is None


def test_a_key_that_has_used_up_its_minute_must_wait_for_the_next(time):
    key, rates = uuid4(), time.process()
    rates.add(key, 100, 99)
    rates.require(key, 100)
    rates.add(key, 100, 1)

    with pytest.raises(RateExceeded) as refused:
        rates.require(key, 100)

    assert refused.value.retry_after == 51
    assert refused.value.rate.headers == {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1800000060",
        "X-RateLimit-Window": "60",
    }
    time.now = 50.0
    rates.require(key, 100)


def test_a_request_larger_than_the_rest_passes_whole(time):
    key, rates = uuid4(), time.process()

    rate = rates.add(key, 100, 10_000)

    assert (rate.used, rate.headers["X-RateLimit-Remaining"]) == (10_000, "0")


def test_two_processes_know_of_each_other_after_a_second(time):
    key, one, other = uuid4(), time.process(), time.process()
    one.add(key, 100, 60)
    other.add(key, 100, 60)
    one.require(key, 100)
    time.now = 1.0

    with pytest.raises(RateExceeded):
        one.require(key, 100)
    with pytest.raises(RateExceeded):
        other.require(key, 100)


def test_nobody_is_limited_while_redis_is_away(time, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    valkey.client.cache_clear()
    key, rates = uuid4(), time.process()
    try:
        rates.add(key, 10, 10)
        rates.require(key, 10)
    finally:
        valkey.client.cache_clear()


def test_eight_threads_are_counted_to_the_last_event(time):
    key, rates = uuid4(), time.process()

    in_threads(8, lambda _: [rates.add(key, 10**9, 1) for _ in range(200)])

    assert rates.rate_of(key, 10**9).used == 1_600


def test_the_memory_of_a_process_is_bounded(time, monkeypatch):
    monkeypatch.setattr("aforo.api.rates.MAX_KEYS", 3)
    rates = time.process()

    for _ in range(10):
        rates.add(uuid4(), 5, 1)

    assert len(rates._minutes) <= 3


def test_a_limited_operator_key_hears_where_it_stands_and_when_to_come_again(client, db):
    key = OperatorKeyFactory(rate_limit=2)
    headers = {"Authorization": f"Bearer {key.secret}"}

    first = client.get("/api/v1/tenant", headers=headers)
    client.get("/api/v1/tenant", headers=headers)
    third = client.get("/api/v1/tenant", headers=headers)

    assert (first.status_code, first["X-RateLimit-Remaining"]) == (200, "1")
    assert (third.status_code, third.json()["code"]) == (429, "RATE_LIMITED")
    assert int(third["Retry-After"]) == third.json()["retryAfter"] > 0
    assert third["X-RateLimit-Remaining"] == "0"
    assert RATES.rate_of(key.pk, 2).used == 2


def test_a_refused_key_is_told_nothing_of_rates(client, db):
    answer = client.get("/api/v1/tenant", headers={"Authorization": "Bearer afo_nothing"})

    assert answer.status_code == 401
    assert "X-RateLimit-Limit" not in answer


def test_the_limit_of_a_key_is_set_changed_and_lifted_on_the_record(client, db):
    owner = OperatorKeyFactory(role="OWNER")
    headers = {"Authorization": f"Bearer {owner.secret}"}
    made = client.post(
        "/api/v1/api-keys",
        data={"name": "gateway", "environment": "live", "rateLimit": 600},
        content_type="application/json",
        headers=headers,
    ).json()
    path = f"/api/v1/api-keys/{made['id']}"

    lifted = client.patch(
        path, data={"rateLimit": None}, content_type="application/json", headers=headers
    )

    assert (made["rateLimit"], lifted.json()["rateLimit"]) == (600, None)
    entries = client.get("/api/v1/audit-entries?action=API_KEY_LIMITED", headers=headers).json()
    assert entries["content"][0]["changes"] == {"rate_limit": {"before": 600, "after": None}}
