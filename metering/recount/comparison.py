"""The story of a recount: each total from its events and, where they are kept, from raw bodies."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import connection, transaction

from aforo.money import EXACT, ZERO, plain
from aforo.tenancy.models import Tenant
from catalog.pricing import Usage
from metering.models import RunningTotal
from metering.recount.scope import Recounted, totals_of_period
from metering.recount.sent import Sent, count_sent
from metering.recount.stored import Outcome, count_stored


@dataclass(frozen=True, slots=True)
class Difference:
    """What a total says, and what the recount of it came to."""

    what: str
    said: str
    found: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One total, and all that differs; `from_raw`: its raw bodies were counted as well."""

    total: RunningTotal
    unit: str
    from_raw: bool
    differences: tuple[Difference, ...]


@contextmanager
def one_moment() -> Iterator[None]:
    """A transaction that sees the database as of its beginning, whatever is drained meanwhile."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def recount(
    *, tenant: Tenant, month: datetime, subscription_id: UUID | None = None, raw: bool = True
) -> Iterator[Compared]:
    """Compare every total of the periods that begin in `month`; nothing is changed.

    Call it within `one_moment`. Memory does not grow with events.
    """
    chosen = partial(totals_of_period, tenant=tenant, month=month, subscription_id=subscription_id)
    sent = count_sent(tenant, chosen()) if raw else Sent()
    for recounted in chosen():
        yield _compared(recounted, sent)


def _compared(recounted: Recounted, sent: Sent) -> Compared:
    total, outcome = recounted.total, count_stored(recounted)
    differences = list(_from_events(recounted, outcome))
    from_raw = sent.is_whole_for(outcome.sources)
    if from_raw:
        differences += sent.differences(recounted)
    told = tuple(Difference(*one) for one in differences)
    return Compared(total, recounted.unit.name, from_raw, told)


def _from_events(recounted: Recounted, outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    total = recounted.total
    if outcome.flaw:
        yield "events", "as they were counted", outcome.flaw
    pairs = (
        ("quantity", plain(total.quantity), plain(outcome.quantity)),
        ("count", str(total.event_count), str(outcome.count)),
        ("revenue", plain(total.revenue), plain(outcome.revenue)),
        ("cost", plain(total.cost), plain(outcome.cost)),
        ("position", str(total.position), str(outcome.position)),
        ("digest", bytes(total.digest).hex(), outcome.digest.hex()),
    )
    yield from (pair for pair in pairs if pair[1] != pair[2])
    if total.revenue == outcome.revenue:
        yield from _from_price(recounted, outcome)


def _from_price(recounted: Recounted, outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """What the total's events and adjustments come to, against what its usage is priced.

    A period that was cut is priced anew by the bill run, and not before.
    """
    total = recounted.total
    if recounted.may_have_moved and total.billed_position is None:
        return
    owed = EXACT.add(recounted.terms.charge(Usage(ZERO)), total.revenue)
    for adjustment in recounted.adjustments:
        owed = EXACT.add(owed, adjustment.amount)
    if owed != outcome.price:
        yield "price", plain(owed), plain(outcome.price)
