"""Dead letters as operators look for them: one by one, by what is wrong, and which a filter means.

Everything here is answered from an index: there may be millions.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from aforo.tenancy.models import Tenant
from metering.models import DeadLetter, LetterDecision
from metering.refusals import mend_for

MOST_GROUPS = 500  # kinds of refusal shown; the others are counted together
_SUMMARY = """
    SELECT code, metric, count(*), sum(occurrences), min(received_at), max(last_seen_at)
    FROM dead_letters WHERE tenant_id = %s AND status = 'OPEN'
    GROUP BY code, metric ORDER BY sum(occurrences) DESC, code, metric LIMIT %s
"""
_OPEN = """
    SELECT count(*), coalesce(sum(occurrences), 0) FROM dead_letters
    WHERE tenant_id = %s AND status = 'OPEN'
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which open letters a decision is about: all that meet every criterion that is given."""

    ids: tuple[UUID, ...] = ()
    code: str | None = None
    metric: str | None = None
    customer: str | None = None
    source: str | None = None
    received_from: datetime | None = None
    received_until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it names no letter in particular, but all."""
        return self == Chosen()

    def as_json(self) -> dict[str, Any]:
        """Only what is given, in JSON's own types."""
        given = {name: value for name, value in asdict(self).items() if value not in {None, ()}}
        return {name: _plain(value) for name, value in given.items()}

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Self:
        """What `as_json` wrote."""
        given = dict(stored)
        for name in {"received_from", "received_until"} & stored.keys():
            given[name] = datetime.fromisoformat(stored[name])
        given["ids"] = tuple(map(UUID, stored.get("ids", ())))
        return cls(**given)


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Open letters with the same code and metric; `events` is how many events they stand for."""

    code: str
    metric: str
    letters: int
    events: int
    first_received_at: datetime
    last_seen_at: datetime

    @property
    def mend(self) -> str:
        return mend_for(self.code)


@dataclass(frozen=True, slots=True)
class LetterSummary:
    """All open letters of a tenant, and the largest groups of them."""

    letters: int
    events: int
    groups: tuple[LetterGroup, ...]


def letters(*, tenant: Tenant) -> QuerySet[DeadLetter]:
    """All letters of a tenant."""
    return DeadLetter.objects.for_tenant(tenant).all()


def decisions(*, tenant: Tenant) -> QuerySet[LetterDecision]:
    """What was decided about many letters at once, newest first."""
    return LetterDecision.objects.for_tenant(tenant).all()


def open_letters(tenant_id: UUID, chosen: Chosen) -> QuerySet[DeadLetter]:
    """The open letters that are meant, in the order of their index: no page sorts them all."""
    found = DeadLetter.objects.for_tenant(tenant_id).filter(status=DeadLetter.Status.OPEN)
    if chosen.ids:
        found = found.filter(pk__in=chosen.ids)
    for column in ("code", "metric", "customer", "source"):
        value = getattr(chosen, column)
        if value is not None:
            found = found.filter(**{column: value})
    if chosen.received_from is not None:
        found = found.filter(received_at__gte=chosen.received_from)
    if chosen.received_until is not None:
        found = found.filter(received_at__lt=chosen.received_until)
    return found.order_by("tenant_id", "code", "metric", "id")


def summary(*, tenant: Tenant) -> LetterSummary:
    """The open letters by code and metric, the most events first."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, (tenant.pk,))
        count, events = cursor.fetchone()
        cursor.execute(_SUMMARY, (tenant.pk, MOST_GROUPS))
        groups = tuple(LetterGroup(*row) for row in cursor.fetchall())
    return LetterSummary(int(count), int(events), groups)


def _plain(value: object) -> object:
    match value:
        case tuple():
            return [str(member) for member in value]
        case datetime():
            return value.isoformat()
        case _:
            return value
