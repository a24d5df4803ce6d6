"""The events behind an invoice line, in the order in which they were counted."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db.models import QuerySet

from billing.models import BillRunEventIndex, InvoiceLine
from metering.models import UsageEvent
from metering.selectors.events import ROWS_AT_A_TIME, CountedEvent


class Place(NamedTuple):
    """Where a page ended."""

    running_total_id: int
    position: int


class Page(NamedTuple):
    """Events in their order, and where to go on; `end` is None on the last page."""

    events: list[UsageEvent]
    end: Place | None


def spans_of(line: InvoiceLine) -> Sequence[BillRunEventIndex]:
    """What the line bills of each running total; empty for a line that no event is behind."""
    spans = BillRunEventIndex.objects.for_tenant(line.tenant_id).filter(line=line)
    return list(spans.order_by("running_total_id"))


def page_of_line(line: InvoiceLine, *, after: Place | None, size: int) -> Page:
    """The next `size` events of the line after a place.

    One walk of the index on (running total, position) for each span that the page touches,
    however many events there are.
    """
    start = after or Place(0, 0)
    found: list[UsageEvent] = []
    for span in spans_of(line):
        if span.running_total_id < start.running_total_id:
            continue
        is_first = span.running_total_id == start.running_total_id
        begin = max(span.first_position, start.position + 1) if is_first else span.first_position
        events = events_between(span.running_total_id, begin, span.last_position)
        found.extend(events[: size + 1 - len(found)])
        if len(found) > size:
            break
    page = found[:size]
    has_more = len(found) > size
    return Page(page, _place_of(page[-1]) if has_more else None)


def walk_line(line: InvoiceLine) -> Iterator[CountedEvent]:
    """All events of the line, in order, in constant memory."""
    for span in spans_of(line):
        yield from walk(span.running_total_id, span.first_position, span.last_position)


def walk(running_total_id: int, first: int, last: int) -> Iterator[CountedEvent]:
    """The events of one total from position `first` to `last`, some at a time.

    Each piece is a statement of its own, so that a slow reader holds no transaction open; what is
    read between two positions never changes.
    """
    position = first
    while position <= last:
        events = events_between(running_total_id, position, last)
        rows = list(events.values_list(*CountedEvent._fields)[:ROWS_AT_A_TIME])
        for row in rows:
            yield CountedEvent._make(row)
        if len(rows) < ROWS_AT_A_TIME:
            return
        position = CountedEvent._make(rows[-1]).position + 1


def events_between(running_total_id: int, first: int, last: int) -> QuerySet[UsageEvent]:
    """The events of one total from position `first` to `last`, in order."""
    events: QuerySet[UsageEvent] = UsageEvent.objects.filter(  # any tenant: a total belongs to one
        running_total_id=running_total_id, position__gte=first, position__lte=last
    )
    return events.order_by("position")


def _place_of(event: UsageEvent) -> Place:
    return Place(event.running_total_id or 0, event.position or 0)
