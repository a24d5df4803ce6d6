"""Quantities that only all events of a total can tell, set by set."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from aforo.money import EXACT, ZERO, divide
from catalog.models import BillableUnit, SubscriptionPeriod
from metering.aggregation import ESTIMATED, Span
from metering.models import RunningTotal
from metering.proof import microseconds

_STANDING = """
    FROM usage_events e
    LEFT JOIN corrections c
      ON c.running_total_id = e.running_total_id AND c."position" = e."position"
    WHERE e.running_total_id = ANY(%(ids)s) AND e.source <> 'VOID' AND c.id IS NULL
"""
_PERCENTILES = f"""
    SELECT running_total_id, quantity
    FROM (
        SELECT e.running_total_id, e.quantity,
               row_number() OVER (PARTITION BY e.running_total_id ORDER BY e.quantity) AS place,
               count(*) OVER (PARTITION BY e.running_total_id) AS count
        {_STANDING}
    ) AS ranked
    WHERE place = (95 * count + 99) / 100
"""  # noqa: S608 - of constants
# An instant's last event is the one with the higher hash. Nothing is held beyond the period's end.
_HELD = f"""
    SELECT running_total_id, sum(level * (1000000 * extract(epoch FROM until - since))),
           1000000 * extract(epoch FROM min(since)), max(level) FILTER (WHERE is_last)
    FROM (
        SELECT e.running_total_id, e.quantity AS level, least(e.occurred_at, p.end_at) AS since,
               least(lead(e.occurred_at, 1, p.end_at) OVER held, p.end_at) AS until,
               lead(e.id) OVER held IS NULL AS is_last
        FROM (SELECT e.* {_STANDING}) AS e
        JOIN running_totals t ON t.id = e.running_total_id
        JOIN subscription_periods p ON p.id = t.period_id
        WINDOW held AS (
            PARTITION BY e.running_total_id
            ORDER BY e.occurred_at,
                     substring(sha256(convert_to(e.idempotency_key, 'UTF8')) FROM 1 FOR 8))
    ) AS steps
    GROUP BY running_total_id
"""  # noqa: S608 - likewise
_LARGEST = f"""
    SELECT e.running_total_id, max(e.quantity) {_STANDING} GROUP BY e.running_total_id
"""


_LATEST = f"""
    SELECT DISTINCT ON (e.running_total_id) e.running_total_id, e.quantity {_STANDING}
    ORDER BY e.running_total_id, e.occurred_at DESC,
             substring(sha256(convert_to(e.idempotency_key, 'UTF8')) FROM 1 FOR 8) DESC
"""  # noqa: S608 - likewise


class Held(NamedTuple):
    """Levels that a total's events set: their sum by microseconds, from the first of them on."""

    area: Decimal
    first: Decimal  # microseconds since 1970
    last_level: Decimal


def percentiles(total_ids: Collection[int]) -> Mapping[int, Decimal]:
    """The exact 95th percentile, by nearest rank, of totals that have events."""
    return dict(_rows(_PERCENTILES, total_ids))


def levels_held(total_ids: Collection[int]) -> Mapping[int, Held]:
    """What totals that have events held until the end of their period."""
    return {total_id: Held(*held) for total_id, *held in _rows(_HELD, total_ids)}


def largest(total_ids: Collection[int]) -> Mapping[int, Decimal]:
    """The largest quantity among the events of totals that have any."""
    return dict(_rows(_LARGEST, total_ids))


def latest(total_ids: Collection[int]) -> Mapping[int, Decimal]:
    """The quantity of the event that occurred last, of totals that have any."""
    return dict(_rows(_LATEST, total_ids))


def weighted(held: Held | None, *, carried: Decimal, span: Span) -> Decimal:
    """The average level over the period `span`, by time, from the level that was carried over."""
    if held is None:
        return carried
    start, end = span
    before = EXACT.multiply(carried, EXACT.subtract(held.first, Decimal(start)))
    return divide(EXACT.add(before, held.area), Decimal(end - start))


def exact_quantities(total_ids: Collection[int]) -> Iterator[tuple[RunningTotal, Decimal]]:
    """Totals whose quantity only all events tell, each with what they tell.

    Of estimates those that a bill run has told, and that took nothing since.
    """
    totals = RunningTotal.objects.filter(id__in=total_ids)  # any tenant: chosen by id
    units = dict(
        BillableUnit.objects.filter(  # any tenant: of these totals
            pk__in=totals.values("unit_id"), aggregation__in={"LATEST", *ESTIMATED}
        ).values_list("pk", "aggregation")
    )
    rows = totals.filter(unit_id__in=units)
    by_kind: dict[str, list[RunningTotal]] = {kind: [] for kind in ("LATEST", *ESTIMATED)}
    for total in rows:
        kind = units[total.unit_id]
        if kind == "LATEST" or total.billed_position == total.position:
            by_kind[kind].append(total)
    yield from _with(by_kind["LATEST"], latest)
    yield from _with(by_kind["PERCENTILE_95"], percentiles)
    yield from _levels(by_kind["WEIGHTED_SUM"])


def _with(
    totals: Sequence[RunningTotal], tell: Callable[[Collection[int]], Mapping[int, Decimal]]
) -> Iterator[tuple[RunningTotal, Decimal]]:
    found = tell([total.pk for total in totals])
    for total in totals:
        yield total, found.get(total.pk, total.carried or ZERO)


def _levels(totals: Sequence[RunningTotal]) -> Iterator[tuple[RunningTotal, Decimal]]:
    held = levels_held([total.pk for total in totals])
    periods = SubscriptionPeriod.objects.in_bulk(  # any tenant: of these totals
        {total.period_id for total in totals}
    )
    for total in totals:
        period = periods.get(total.period_id)
        if period is not None:
            span = (microseconds(period.start_at), microseconds(period.end_at))
            carried = total.carried or ZERO
            yield total, weighted(held.get(total.pk), carried=carried, span=span)


def _rows(statement: str, total_ids: Collection[int]) -> list[tuple[Any, ...]]:
    if not total_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement, {"ids": list(total_ids)})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
