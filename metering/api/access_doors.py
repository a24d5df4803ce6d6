"""The two ways to access checks: past Django, as the web server calls, and within it."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from aforo.api.internal import is_internal
from aforo.api.problems import NotAllowed, problem_response
from aforo.ids import request_id_of
from aforo.tenancy.requests import request_id
from metering.api.access import ROUTES, Ask, answered
from metering.api.access_shapes import body_of, bounded
from metering.entitlements import looking


@csrf_exempt
def access(request: HttpRequest) -> HttpResponse:
    """The same answers within Django, for servers that do not come by `before_django`."""
    method, answering = ROUTES[request.path]
    if request.method != method:
        response = problem_response(NotAllowed(f"this is asked by {method}"))
        response["Allow"] = method
        return response
    headers = request.headers
    ask = Ask(
        looking=looking,
        request_id=request_id(),
        authorization=headers.get("Authorization", ""),
        own_key=headers.get("X-Aforo-Key", ""),
        tenant_header=headers.get("X-Tenant-Id", ""),
        query=request.META.get("QUERY_STRING", ""),
        body=lambda: bounded(request.body),
        is_internal=lambda: is_internal(request),
    )
    status, content_type, body, more = answered(request.path, answering, ask)
    response = HttpResponse(body, status=status, content_type=content_type)
    for name, value in more.items():
        response[name] = value
    return response


def before_django(serve: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Answer these routes at once; a sixth of the time that Django takes around them."""

    def served(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        route = ROUTES.get(environ.get("PATH_INFO", ""))
        if route is None or environ.get("REQUEST_METHOD") != route[0]:
            return serve(environ, start_response)
        ask = _ask_of(environ)
        status, content_type, body, more = answered(environ["PATH_INFO"], route[1], ask)
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Request-Id", ask.request_id),
            *more.items(),
        ]
        start_response(f"{int(status)} {HTTPStatus(status).phrase}", headers)
        return [body]

    return served


def _ask_of(environ: dict[str, Any]) -> Ask:
    return Ask(
        looking=looking,
        request_id=request_id_of(environ),
        authorization=environ.get("HTTP_AUTHORIZATION", ""),
        own_key=environ.get("HTTP_X_AFORO_KEY", ""),
        tenant_header=environ.get("HTTP_X_TENANT_ID", ""),
        query=environ.get("QUERY_STRING", ""),
        body=lambda: body_of(environ),
        is_internal=lambda: is_internal(WSGIRequest(environ)),
    )


VIEWS = {path[1:]: access for path in ROUTES}
