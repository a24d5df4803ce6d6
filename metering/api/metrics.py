"""What Prometheus is told: the requests of the web processes, and what waits to be counted.

What waits is asked of the database by whoever scrapes: a figure that nobody looks at costs
nothing, and it is right whichever process answers.
"""

from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from aforo import health

_WAITING = """
    SELECT (SELECT count(*) FROM inbox_batches),
           (SELECT coalesce(sum(event_count), 0) FROM inbox_batches),
           (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(arrived_at)), 0)
              FROM inbox_batches),
           (SELECT count(*) FROM (
               SELECT FROM dead_letters WHERE status = 'OPEN' LIMIT 100001) AS open),
           (SELECT count(*) FROM (
               SELECT FROM held_events WHERE status = 'WAITING' LIMIT 100001) AS waiting),
           (SELECT count(*) FROM (
               SELECT FROM sessions WHERE closed_at IS NULL LIMIT 100001) AS alive)
"""
_GAUGES = (
    ("aforo_inbox_batches", "Accepted requests that wait to be counted."),
    ("aforo_inbox_events", "Their events."),
    ("aforo_inbox_oldest_seconds", "How long the oldest of them has waited."),
    ("aforo_dead_letters_open", "Refused events, kept whole; not counted beyond 100,001."),
    ("aforo_held_events_waiting", "Late events that wait for a decision; likewise."),
    ("aforo_sessions_open", "Sessions that are not closed; likewise."),
)


class Waiting(Collector):
    """The gauges of what waits; none while the database is away."""

    def collect(self) -> Iterator[Metric]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(_WAITING)
                figures = cursor.fetchone()
        except (DatabaseError, InterfaceError):
            return
        for (name, about), figure in zip(_GAUGES, figures, strict=True):
            yield GaugeMetricFamily(name, about, value=figure)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format."""
    answer = health.metrics(request)
    registry = CollectorRegistry()
    registry.register(Waiting())
    answer.content += generate_latest(registry)
    return answer
