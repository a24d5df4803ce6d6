"""Two things that psycopg leaves to its callers: the only row, and rows with few columns given."""

from typing import Any

import psycopg

# What a column that we say nothing about holds, by its type: the product knows its defaults, and
# the database does not.
_EMPTY = {"jsonb": "{}", "boolean": "false", "interval": "0", "text": "", "character varying": ""}
_COLUMNS_WITHOUT_DEFAULT = """
    SELECT column_name, data_type FROM information_schema.columns
    WHERE table_name = %s AND table_schema = current_schema()
      AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
"""
_needed: dict[str, dict[str, str]] = {}


def row(connection: psycopg.Connection, query: str, *parameters: object) -> tuple[Any, ...]:
    """The only row of a query that has one."""
    (found,) = connection.execute(query, parameters).fetchall()
    return found


def insert(connection: psycopg.Connection, table: str, **columns: object) -> None:
    """Insert a row; columns that are needed and not given are empty."""
    if table not in _needed:
        found = connection.execute(_COLUMNS_WITHOUT_DEFAULT, (table,)).fetchall()
        _needed[table] = {name: _EMPTY.get(kind, "0") for name, kind in found}
    values = _needed[table] | columns
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    query = f"INSERT INTO {table} ({names}) VALUES ({places})"
    connection.execute(query, list(values.values()))
