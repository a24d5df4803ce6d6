"""What every answer has in common: the request's id, and one shape of errors."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from aforo.api.problems import API_PATHS, expected_error, problem_response
from aforo.ids import request_id_of

_HEADER = "X-Request-Id"
_META = "HTTP_X_REQUEST_ID"


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
