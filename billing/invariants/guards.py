"""Truths that the database keeps: the triggers that refuse a change stand, and are awake."""

from collections.abc import Iterator

import pgtrigger
from django.db import connection

from billing.invariants.violations import Scope, Violation

_AWAKE = """
    SELECT r.relname, t.tgname FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
"""


def missing_triggers(_: Scope) -> Iterator[Violation]:
    """Triggers of our models that are not there, or that somebody has disabled."""
    with connection.cursor() as cursor:
        cursor.execute(_AWAKE)
        awake = set(cursor.fetchall())
    for model, trigger in pgtrigger.registered():
        table = model._meta.db_table  # noqa: SLF001 - Django documents it
        if (table, trigger.get_pgid(model)) not in awake:
            yield Violation(f"table {table}", f"the trigger {trigger.name} is missing or disabled")
