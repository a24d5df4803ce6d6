"""Routes that answer before most middleware: programs bring neither sessions nor forms.

The same views at the same paths, in a sixth of the time that all of the middleware takes. Every
other path and every other method goes the usual way.
"""

from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import structlog
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.module_loading import import_string
from django_prometheus.middleware import Metrics
from structlog.contextvars import bound_contextvars

from aforo.api.middleware import RequestIds
from aforo.api.problems import expected_error, problem_response

View = Callable[[HttpRequest], HttpResponse]
log = structlog.get_logger(__name__)


class HotRoutes:
    """The first of all middleware: answers POST at `settings.HOT_ROUTES`.

    Around the view stand only the request's id, also in the log's context, a count by route and
    status, `settings.HOT_MIDDLEWARE`, and what turns errors into answers.
    """

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response
        self._views, self._patterns = _views(), _patterns()
        self._metrics = Metrics.get_instance()
        self._answer = RequestIds(self._told)
        self._inner: Any = convert_exception_to_response(self._asked)
        for name in reversed(settings.HOT_MIDDLEWARE):
            self._inner = convert_exception_to_response(import_string(name)(self._inner))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        view = self._view_at(request.path_info) if request.method == "POST" else None
        if view is None:
            return self.get_response(request)
        request.hot_view = view  # type: ignore[attr-defined]
        return self._answer(request)

    def _view_at(self, path: str) -> tuple[str, View] | None:
        """The route and the view of a path; None for paths that go the usual way."""
        if path in self._views:
            return path[1:], self._views[path]
        for start, pattern in self._patterns:
            found = pattern.resolve(path[1:]) if path.startswith(start) else None
            if found is not None:
                return found.route, partial(found.func, **found.kwargs)
        return None

    def _told(self, request: HttpRequest) -> HttpResponse:
        """The answer of what stands within, counted, and logged when it is an error."""
        began = perf_counter()
        later = request.after_answer = []  # type: ignore[attr-defined]
        with bound_contextvars(request_id=request.headers["X-Request-Id"]):
            response: HttpResponse = self._inner(request)
            if response.status_code >= 400:  # noqa: PLR2004
                asked = f"{request.method} {request.path}"
                log.warning("request_finished", code=response.status_code, request=asked)
        # The server closes an answer when it has gone out, as Django's own handler relies upon.
        response._resource_closers.extend(later)  # type: ignore[attr-defined]  # noqa: SLF001
        route, _ = request.hot_view  # type: ignore[attr-defined]
        self._count(route, response.status_code, perf_counter() - began)
        return response

    def _asked(self, request: HttpRequest) -> HttpResponse:
        view: View = request.hot_view[1]  # type: ignore[attr-defined]
        try:
            return view(request)
        except Exception as error:
            expected = expected_error(error)
            if expected is None:
                raise
            return problem_response(expected)

    def _count(self, route: str, status: int, seconds: float) -> None:
        """Under the names that django-prometheus gives what it counts of all other routes."""
        metrics = self._metrics
        metrics.responses_by_status_view_method.labels(status, route, "POST").inc()
        metrics.requests_latency_by_view_method.labels(route, "POST").observe(seconds)


def after_answer(request: HttpRequest, call: Callable[[], None]) -> None:
    """Call when the answer has gone out; at once on routes where nobody promises that.

    What is lost when the process dies in between must be made good by a sweep. May not raise.
    """
    later = getattr(request, "after_answer", None)
    if later is None:
        call()
    else:
        later.append(call)


def _views() -> dict[str, View]:
    """Views by path, from mappings of routes as `urls` spells them."""
    return {f"/{route}": view for route, view in _routes() if "<" not in route}


def _patterns() -> list[tuple[str, URLPattern]]:
    """Routes with parts that vary, behind what their paths begin with."""
    return [
        (f"/{route.partition('<')[0]}", path(route, view))
        for route, view in _routes()
        if "<" in route
    ]


def _routes() -> Iterator[tuple[str, Callable[..., HttpResponse]]]:
    for name in settings.HOT_ROUTES:
        yield from import_string(name).items()
