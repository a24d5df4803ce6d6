"""What a check says: which row breaks a truth, and how."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection


@dataclass(frozen=True, slots=True)
class Violation:
    """One row for which a truth does not hold."""

    subject: str
    found: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows are checked (None: everybody's), and whether all of them are."""

    tenant_id: UUID | None = None
    full: bool = False

    def violations(self, sql: str, ids: Sequence[int] | Sequence[UUID] = ()) -> Iterator[Violation]:
        """The rows (subject, found) that `sql` selects; `%(tenant)s` may be null in it."""
        with connection.cursor() as cursor:
            cursor.execute(sql, {"tenant": self.tenant_id, "ids": list(ids)})
            for subject, found in cursor.fetchall():
                yield Violation(subject, found)
