"""Probes, metrics and the OpenAPI document."""

import pytest
from django.db import connection
from django.test import Client
from redis import Redis

from aforo import health


@pytest.mark.parametrize("path", ["/healthz", "/actuator/health"])
def test_a_live_process_answers_without_asking_anybody(path):
    answer = Client().get(path)  # no django_db mark: touching the database would fail here

    assert (answer.status_code, answer.json()) == (200, {"status": "UP"})


@pytest.mark.django_db
def test_ready_when_the_database_is_migrated():
    answer = Client().get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "UP",
        "checks": {"database": "UP", "migrations": "UP", "redis": "UP"},
    }


@pytest.mark.django_db
def test_without_redis_it_is_ready_and_says_so(monkeypatch):
    nowhere = Redis.from_url("unix:///nowhere.sock")
    monkeypatch.setattr("aforo.valkey.client", lambda: nowhere)

    answer = Client().get("/readyz")

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["checks"]["redis"]) == ("DEGRADED", "DOWN")


@pytest.mark.django_db
def test_not_ready_before_every_migration_is_applied():
    health._require_migrated.cache_clear()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'api'")

    answer = Client().get("/readyz")

    assert (answer.status_code, answer.json()["checks"]["migrations"]) == (503, "DOWN")


@pytest.mark.django_db
def test_metrics_count_requests():
    Client().get("/healthz")

    answer = Client().get("/metrics")

    assert answer.status_code == 200
    assert b"django_http_requests_total_by_method_total" in answer.content


def test_the_openapi_document_and_its_page_need_nobody_else():
    assert b"/api/v1/api-keys" in Client().get("/api/schema").content
    page = Client().get("/api/docs").content.decode()
    assert "/static/drf_spectacular_sidecar/" in page
    assert "https://" not in page
