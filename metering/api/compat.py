"""What the doors for other people's clients share: each answers in the words of its own API."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from aforo.api.problems import NotAllowed, expected_error
from aforo.errors import AforoError
from metering.api import limits
from metering.ingest import door
from metering.ingest.door import Admission
from metering.ingest.known import KnownKey
from metering.ingest.own_customer import answer_of

View = Callable[[HttpRequest], HttpResponse]
Problem = Callable[[AforoError], HttpResponse]
JSON = "application/json"
_KEY = "aforo.metering_key"  # whom the request was recognised as, for its answer
_encoder = msgspec.json.Encoder(decimal_format="number")


def foreign_door(problem: Problem) -> Callable[[View], View]:
    """A view for POST without a cookie; whatever is expected to go wrong is told by `problem`."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            if request.method != "POST":
                return _told(problem, NotAllowed("events are sent by POST"))
            try:
                response = view(request)
            except Exception as error:  # raised again, unless it is expected
                expected = expected_error(error)
                if expected is None:
                    raise
                response = _told(problem, expected)
            key = request.META.get(_KEY)
            return response if key is None else limits.told(response, key)

        return guarded

    return decorate


def entered(request: HttpRequest, token: str) -> tuple[bytes, KnownKey]:
    """The key that a client of another API sent."""
    digest, key = door.authenticate(token, tenant_header=request.headers.get("X-Tenant-Id"))
    request.META[_KEY] = key
    return digest, key


def finished(response: HttpResponse, admission: Admission) -> HttpResponse:
    """An answer that also says where to ask what became of its events."""
    response["X-Batch-Id"] = str(admission.batch_id)
    return response


def require_any_accepted(admission: Admission) -> None:
    """Raise Refused when not one event may pass, with the reason of the first.

    Forbidden when all are of others than the key's own customer.
    """
    if admission.event_count and admission.event_count == len(admission.refused):
        raise answer_of(admission.refused)


def json_response(members: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    return HttpResponse(_encoder.encode(members), content_type=JSON, status=status)


def _told(problem: Problem, error: AforoError) -> HttpResponse:
    response = problem(error)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    if isinstance(error, NotAllowed):
        response["Allow"] = "POST"
    return response
