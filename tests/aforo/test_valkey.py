"""Redis away: whoever asks is told at once."""

import time

import pytest
from celery import current_app
from django.core.cache import caches
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from aforo import valkey
from aforo.celery import app

NOWHERE = "redis://127.0.0.1:1/0"
AT_ONCE = 1.0  # with the pauses that the libraries make by default it takes 4 to 20 seconds


@pytest.fixture
def began_at():
    return time.monotonic()


def test_a_client_of_a_server_that_is_away_fails_at_once(settings, began_at):
    settings.REDIS_URL = NOWHERE
    client = valkey.client.__wrapped__()
    for _ in range(3):
        with pytest.raises(RedisError):
            client.get("anything")
    assert time.monotonic() - began_at < AT_ONCE


def test_the_cache_fails_at_once(settings, began_at):
    away = settings.CACHES["default"] | {"LOCATION": NOWHERE}
    settings.CACHES = {"default": away}
    with pytest.raises(RedisError):
        caches["default"].get("anything")
    assert time.monotonic() - began_at < AT_ONCE


def test_asking_for_a_task_fails_at_once(began_at):
    options = app.conf.broker_transport_options
    with current_app.connection_for_write(NOWHERE, transport_options=options) as away:
        for _ in range(3):
            with pytest.raises(OperationalError):
                app.send_task("aforo.ping", connection=away, retry=False, ignore_result=True)
    assert time.monotonic() - began_at < AT_ONCE
