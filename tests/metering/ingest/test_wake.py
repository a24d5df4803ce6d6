"""Waking the drain: one message per shard at a time, and nobody depends on it."""

import pytest

from aforo import valkey
from aforo.celery import app
from metering.ingest import wake


@pytest.fixture
def asked(monkeypatch, settings):
    """The shards for which a drain was asked, with flags of this test's own."""
    settings.DRAIN_SHARDS = 2
    for shard in range(2):
        wake.lower_flag(shard)
    shards = []
    monkeypatch.setattr(wake, "ask_for_drain", shards.append)
    yield shards
    for shard in range(2):
        wake.lower_flag(shard)


def test_only_the_first_of_many_asks(asked):
    waker = wake.Waker()
    for _ in range(5):
        waker.wake(4)
    assert asked == [0]


def test_each_shard_is_woken_by_itself(asked):
    for bucket in (0, 1, 2, 3, 255):
        wake.wake(bucket)
    assert asked == [0, 1]


def test_a_lowered_flag_lets_the_next_one_ask(asked):
    wake.wake(0)
    wake.lower_flag(0)
    wake.wake(0)
    assert asked == [0, 0]


def test_a_flag_whose_message_was_lost_dies_by_itself(asked):
    wake.wake(0)
    assert 0 < valkey.client().ttl("wake:0") <= wake.FLAG_SECONDS


def test_without_redis_nobody_asks_and_nothing_fails(asked, redis_down):
    wake.Waker().wake(0)
    wake.lower_flag(0)
    assert asked == []


def test_after_a_failure_nobody_tries_for_a_moment(asked, monkeypatch):
    """A server that hangs would cost each request its time limit."""
    tried, real = [], valkey.client

    def hang():
        tried.append(1)
        raise TimeoutError

    waker = wake.Waker()
    monkeypatch.setattr(valkey, "client", hang)
    for _ in range(5):
        waker.wake(0)
    assert tried == [1]
    monkeypatch.setattr(valkey, "client", real)
    wake.Waker().wake(0)
    assert asked == [0]


def test_the_task_it_asks_for_exists():
    app.loader.import_default_modules()
    assert wake.DRAIN in app.tasks
