"""Views without DRF: they raise, and the middleware answers as for all others."""

import pytest
from django.db import IntegrityError, OperationalError
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from redis.exceptions import ConnectionError as RedisAway

from aforo.errors import Refused, TooMany
from aforo.tenancy.models import Tenant
from tests.factories import TenantFactory

ERRORS = {
    "refused": Refused("no", code="METRIC_BLOCKED"),
    "slower": TooMany("slow down", retry_after=7),
    "database": OperationalError("gone"),
    "redis": RedisAway("gone"),
    "bug": ZeroDivisionError(),
    "broken": IntegrityError("no name"),
}


def fail(_request, name):
    raise ERRORS[name]


def collide(_request):
    TenantFactory(slug="acme")
    TenantFactory(slug="acme")
    return HttpResponse()


def overflow(_request):
    Tenant.objects.filter(catalog_version=1).update(catalog_version=10**30)
    return HttpResponse()


def unsound(_request):
    TenantFactory(clock_offset="1 hour")
    return HttpResponse()


urlpatterns = [
    path("v1/collide", collide),
    path("v1/overflow", overflow),
    path("v1/unsound", unsound),
    path("v1/<str:name>", fail),
    path("page/<str:name>", fail),
]
handler500 = "aforo.api.problems.answer_server_error"
handler404 = "aforo.api.problems.answer_not_found"

pytestmark = pytest.mark.urls(__name__)


def get(url):
    return Client(raise_request_exception=False).get(url)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("refused", 422, "METRIC_BLOCKED"),
        ("slower", 429, "RATE_LIMITED"),
        ("database", 503, "UNAVAILABLE"),
        ("redis", 503, "UNAVAILABLE"),
        ("bug", 500, "INTERNAL_ERROR"),
        ("broken", 500, "INTERNAL_ERROR"),
    ],
)
def test_an_expected_error_is_a_problem_and_any_other_a_500(name, status, code):
    answer = get(f"/v1/{name}")

    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code
    assert answer.json()["instance"] == answer["X-Request-Id"]


def test_when_to_come_again_is_said_in_whole_seconds():
    answer = get("/v1/slower")

    assert answer["Retry-After"] == "7"
    assert answer.json()["retryAfter"] == 7
    assert answer.json()["type"] == "https://errors.aforo.ai/rate-limited"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("route", "status", "code"),
    [
        ("collide", 409, "ALREADY_EXISTS"),
        ("overflow", 422, "VALUE_OUT_OF_RANGE"),
        ("unsound", 422, "UNPROCESSABLE_ENTITY"),
    ],
)
def test_what_the_database_refuses_is_told_by_the_name_of_its_promise(route, status, code):
    TenantFactory()

    answer = get(f"/v1/{route}")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if route == "unsound":
        assert "only a sandbox has a clock of its own" in answer.json()["detail"]


def test_people_get_pages():
    assert get("/page/refused")["Content-Type"].startswith("text/html")
    assert get("/nowhere")["Content-Type"].startswith("text/html")
    assert get("/v1/a/b")["Content-Type"] == "application/problem+json"
