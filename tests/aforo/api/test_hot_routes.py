"""Hot routes answer as all others do, only sooner."""

import pytest
from django.conf import settings
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as RedisAway

from aforo.api.hot_routes import after_answer
from aforo.errors import Refused, TooMany, Unauthenticated
from aforo.tenancy.requests import request_id

ERRORS = {
    "refused": Refused("no", code="METRIC_BLOCKED"),
    "stranger": Unauthenticated("who?"),
    "slower": TooMany("slow down", retry_after=7),
    "database": OperationalError("gone"),
    "redis": RedisAway("gone"),
    "bug": ZeroDivisionError(),
}
done = []


@csrf_exempt
def echo(request):
    answer = HttpResponse(request.body or b"-", content_type="text/plain", status=202)
    answer["X-Seen"] = request_id()
    return answer


@csrf_exempt
def fail(request):
    raise ERRORS[request.path_info.rpartition("/")[2]]


@csrf_exempt
def named(request, thing):
    return HttpResponse(f"{type(thing).__name__} {thing}", content_type="text/plain")


@csrf_exempt
def later(request):
    after_answer(request, lambda: done.append("later"))
    done.append("view")
    return HttpResponse()


VARIES = "v1/things/<uuid:thing>"
ROUTES = {"v1/echo": echo, "v1/later": later, VARIES: named} | {
    f"v1/fail/{name}": fail for name in ERRORS
}
urlpatterns = [path(route, view) for route, view in ROUTES.items()]
handler500 = "aforo.api.problems.answer_server_error"
handler404 = "aforo.api.problems.answer_not_found"
handler400 = "aforo.api.problems.answer_bad_request"

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def routes(settings):
    settings.HOT_ROUTES = [f"{__name__}.ROUTES"]
    done.clear()


def client(*, hot):
    """A client of the whole stack, with or without the short way."""
    with override_settings(MIDDLEWARE=settings.MIDDLEWARE if hot else settings.MIDDLEWARE[1:]):
        made = Client(raise_request_exception=False)
        made.handler.load_middleware()
    return made


def answers(method, url, **more):
    """The same request answered both ways, without what is new in each answer."""
    both = []
    for hot in (True, False):
        answer = client(hot=hot).generic(method, url, **more)
        asked = answer["X-Request-Id"]
        assert answer.content.count(asked.encode()) == ("problem" in answer["Content-Type"])
        headers = {name: value.replace(asked, "...") for name, value in answer.items()}
        both.append((answer.status_code, headers, answer.content.replace(asked.encode(), b"...")))
    return both


def test_the_short_way_comes_before_all_other_middleware():
    assert settings.MIDDLEWARE[0] == "aforo.api.hot_routes.HotRoutes"
    assert set(settings.HOT_MIDDLEWARE) < set(settings.MIDDLEWARE)


@pytest.mark.parametrize("data", [b"", b"some body"])
@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "OPTIONS"])
def test_both_ways_answer_the_same(method, data):
    hot, usual = answers(method, "/v1/echo", data=data)
    assert hot == usual
    assert hot[0] == 202


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("thing", "status"),
    [("0197a0c2-1f00-7a22-b5b1-0a1b2c3d4e5f", 200), ("none", 404), ("", 404), ("a/b", 404)],
)
def test_a_route_may_have_parts_that_vary(method, thing, status):
    hot, usual = answers(method, f"/v1/things/{thing}")
    assert hot == usual
    assert hot[0] == status


def test_a_route_that_varies_is_counted_as_one():
    labels = {"view": VARIES, "method": "POST", "status": "200"}
    name = "django_http_responses_total_by_status_view_method_total"
    before = REGISTRY.get_sample_value(name, labels) or 0
    client(hot=True).post("/v1/things/0197a0c2-1f00-7a22-b5b1-0a1b2c3d4e5f")
    assert REGISTRY.get_sample_value(name, labels) == before + 1


@pytest.mark.parametrize("name", ERRORS)
def test_both_ways_say_what_went_wrong(name):
    hot, usual = answers("POST", f"/v1/fail/{name}")
    assert hot == usual
    assert hot[1]["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("url", ["/v1/echo/", "/v1/ech", "/v1//echo", "/V1/echo"])
def test_other_paths_go_the_usual_way(url):
    hot, usual = answers("POST", url)
    assert hot == usual
    assert hot[0] == 404


def test_a_host_that_is_not_served_is_refused_both_ways():
    hot, usual = answers("POST", "/v1/echo", HTTP_HOST="evil.example")
    assert hot == usual
    assert hot[0] == 400


@pytest.mark.parametrize(
    ("given", "kept"),
    [("mine-1.2:3_4", True), ("", False), ("two words", False), ("x" * 65, False), ("a\nb", False)],
)
def test_a_well_formed_request_id_is_kept_both_ways(given, kept):
    for hot in (True, False):
        answer = client(hot=hot).post("/v1/echo", HTTP_X_REQUEST_ID=given)
        assert (answer["X-Request-Id"] == given) == kept
        assert answer["X-Seen"] == answer["X-Request-Id"]


def test_the_request_id_is_gone_from_the_log_afterwards():
    client(hot=True).post("/v1/echo")
    assert request_id() == ""


def test_an_error_is_logged_with_the_id_of_its_request(caplog):
    answer = client(hot=True).post("/v1/fail/refused")
    (told,) = [record.msg for record in caplog.records if record.name == "aforo.api.hot_routes"]
    assert (told["event"], told["code"]) == ("request_finished", 422)
    assert told["request"] == "POST /v1/fail/refused"
    assert told["request_id"] == answer["X-Request-Id"]


def test_a_bug_is_logged_with_its_trace(caplog):
    client(hot=True).post("/v1/fail/bug")
    (told,) = [record for record in caplog.records if record.exc_info]
    assert told.getMessage() == "Internal Server Error: /v1/fail/bug"
    assert told.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize(("name", "status"), [("v1/echo", "202"), ("v1/fail/bug", "500")])
def test_routes_are_counted_by_status(name, status):
    labels = {"status": status, "view": name, "method": "POST"}

    def counted():
        answered = REGISTRY.get_sample_value(
            "django_http_responses_total_by_status_view_method_total", labels
        )
        timed = REGISTRY.get_sample_value(
            "django_http_requests_latency_seconds_by_view_method_count",
            {"view": name, "method": "POST"},
        )
        return answered or 0, timed or 0

    before = counted()
    client(hot=True).post(f"/{name}")
    assert counted() == (before[0] + 1, before[1] + 1)


@pytest.mark.django_db  # closing an answer looks after the connection
def test_what_may_wait_is_done_when_the_answer_is_closed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpResponse, "close", lambda _: done.append("answer"))
        answer = client(hot=True).post("/v1/later")
    assert done == ["view", "answer"]
    answer.close()
    assert done == ["view", "answer", "later"]


def test_nothing_waits_on_other_routes():
    client(hot=False).post("/v1/later")
    assert done == ["later", "view"]
