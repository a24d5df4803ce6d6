"""Django's PostgreSQL backend, whose pool asks only connections that stood idle if they live.

Django asks before every request. That is a round trip, and a door makes only one other.
"""

from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.postgresql import base

TRUSTED_SECONDS = 1.0  # since it was last given out; what breaks within them fails one statement

_given_at: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """One that lives. Raises OperationalError when the pool finds none in its time."""
        while True:
            connection: psycopg.Connection[Any] = super().get_new_connection(conn_params)
            if self.pool is None or _lives(connection):
                # Not when it comes back: who keeps one for an hour may not have used it since.
                _given_at[connection] = monotonic()
                return connection
            self.pool.putconn(connection)  # sees that it is broken, and makes another


def _lives(connection: psycopg.Connection[Any]) -> bool:
    if monotonic() - _given_at.get(connection, float("-inf")) < TRUSTED_SECONDS:
        return True
    try:
        connection.autocommit = True  # or asking one that was given back early opens a transaction
        connection.execute("")
    except psycopg.OperationalError:
        return False
    return True
