"""Is it up, can it work, how much does it do: for load balancers and Prometheus."""

from functools import cache

from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView
from redis.exceptions import RedisError

from aforo import valkey

UP, DOWN, DEGRADED = "UP", "DOWN", "DEGRADED"


class _NotMigrated(Exception):
    pass


@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """This process answers. Nothing behind it is asked: a restart would not mend a database."""
    return JsonResponse({"status": UP})


@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Whether requests should be sent here: 503 without a migrated database.

    Without Redis it is DEGRADED but ready: the ingest door goes on accepting events.
    """
    checks = {"database": _database(), "migrations": _migrations(), "redis": _redis()}
    is_ready = checks["database"] == checks["migrations"] == UP
    status = UP if all(check == UP for check in checks.values()) else DEGRADED
    body = {"status": status if is_ready else DOWN, "checks": checks}
    return JsonResponse(body, status=200 if is_ready else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format; of all web processes when `PROMETHEUS_MULTIPROC_DIR` is set."""
    answer: HttpResponse = ExportToDjangoView(request)
    return answer


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return DOWN
    return UP


def _migrations() -> str:
    try:
        _require_migrated()
    except (DatabaseError, InterfaceError, _NotMigrated):
        return DOWN
    return UP


@cache  # of success only: nobody takes migrations back while a process runs
def _require_migrated() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise _NotMigrated


def _redis() -> str:
    try:
        valkey.client().ping()
    except RedisError:
        return DOWN
    return UP
