"""A pooled connection is asked whether it lives when it has stood idle, and not otherwise."""

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from aforo.postgres import base

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    """A pool of one, so that the same connection comes back."""
    pool = {"min_size": 1, "max_size": 1, "timeout": 10}
    connection.close()
    connection.close_pool()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", pool)
    yield
    connection.close()
    connection.close_pool()


@pytest.fixture
def asked(monkeypatch):
    """What is sent on connections that come from the pool."""
    sent = []
    execute = psycopg.Connection.execute

    def recording(self, query, *args, **kwargs):
        sent.append(query)
        return execute(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", recording)
    return sent


def pid():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def kill(backend):
    """End a connection of ours from outside, as a restart of the server does."""
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))


def stands_idle(monkeypatch):
    monkeypatch.setattr(base, "TRUSTED_SECONDS", 0)


def test_a_connection_that_was_just_used_is_not_asked(asked):
    first = pid()
    connection.close()
    asked.clear()
    assert pid() == first
    assert asked == []


def test_one_that_stood_idle_is_asked(asked, monkeypatch):
    first = pid()
    connection.close()
    stands_idle(monkeypatch)
    asked.clear()
    assert pid() == first
    assert asked == [""]


def test_one_that_died_while_it_stood_idle_is_replaced(monkeypatch):
    first = pid()
    connection.close()
    kill(first)
    stands_idle(monkeypatch)
    assert pid() != first


def test_one_that_died_just_now_fails_once():
    first = pid()
    connection.close()
    kill(first)
    with pytest.raises(OperationalError):
        pid()
    connection.close()
    assert pid() != first


def test_one_that_was_kept_for_long_is_asked_when_it_comes_back(monkeypatch):
    first = pid()
    kill(first)
    later = base.monotonic() + 2 * base.TRUSTED_SECONDS
    monkeypatch.setattr(base, "monotonic", lambda: later)

    connection.close()

    assert pid() != first


def test_one_that_came_back_from_within_a_transaction_is_asked_outside_of_any(monkeypatch):
    with transaction.atomic():
        first = pid()
        connection.close()
    stands_idle(monkeypatch)

    with transaction.atomic():
        assert pid() == first
