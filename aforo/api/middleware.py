"""What every answer has in common: the request's id, and one shape of errors."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from aforo.api.problems import API_PATHS, expected_error, problem_response
from aforo.ids import new_id

_HEADER = "X-Request-Id"
_META = "HTTP_X_REQUEST_ID"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The client's own id of a request if it is well-formed, else a new one."""
    given = environ.get(_META, "")
    return given if _WELL_FORMED.fullmatch(given) else str(new_id())


class RequestIds:
    """Gives each request an id, the client's own if it is well-formed, and returns it.

    Stands before django-structlog, which reads it from the header for the log and for tasks.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request.META)
        request.META[_META] = request_id
        response = self.get_response(request)
        response[_HEADER] = request_id
        return response


class ExpectedErrors:
    """Lets plain views raise: what is expected is answered as problem details, under API paths."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not request.path.startswith(API_PATHS):
            return None
        expected = expected_error(error)
        return None if expected is None else problem_response(expected)
