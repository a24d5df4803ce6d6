"""Django's connection without Django's cursor: binary results, prepared statements, COPY."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from psycopg import Cursor


@contextmanager
def hot_cursor() -> Iterator[Cursor[Any]]:
    """A psycopg cursor on Django's connection and in its transaction.

    Server-side parameters and binary results: an array of 20,000 keys is sent as it is instead
    of being written into the statement. Errors are Django's own, so that callers know one family.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        yield cursor
