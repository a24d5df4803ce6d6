"""The one shape of every error: problem details (RFC 9457), made here and nowhere else."""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from redis.exceptions import RedisError
from rest_framework import exceptions

from aforo.api.rates import RateExceeded
from aforo.errors import (
    PROBLEM,
    AforoError,
    Conflict,
    FieldError,
    Forbidden,
    NotFound,
    Refused,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unreadable,
    problem_of,
)
from aforo.tenancy.requests import request_id

log = structlog.get_logger(__name__)
CONTENT_TYPE = PROBLEM
API_PATHS = ("/api/", "/v1/", "/internal/", "/compat/", "/oauth/")
_NAMED_IN_DETAIL = 3  # more refused fields than this are only listed in `errors`


class NotAllowed(AforoError):
    status, title, code = 405, "Method Not Allowed", "METHOD_NOT_ALLOWED"


class NotAcceptable(AforoError):
    status, title, code = 406, "Not Acceptable", "NOT_ACCEPTABLE"


class UnsupportedMediaType(AforoError):
    status, title, code = 415, "Unsupported Media Type", "UNSUPPORTED_MEDIA_TYPE"


class InFlight(Conflict):
    """The same request is being answered right now: ask again after `retry_after` seconds."""

    code = "IN_FLIGHT"
    retry_after = 1


class Unexpected(AforoError):
    status, title, code = 500, "Internal Server Error", "INTERNAL_ERROR"


_BY_STATUS: dict[int, type[AforoError]] = {
    kind.status: kind
    for kind in (
        Unreadable,
        Unauthenticated,
        Forbidden,
        NotFound,
        NotAllowed,
        NotAcceptable,
        Conflict,
        UnsupportedMediaType,
    )
}


def answer_problem(error: Exception, _context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's exception handler; None for what nobody expected, which then becomes a 500."""
    expected = expected_error(error)
    return None if expected is None else problem_response(expected)


def expected_error(error: Exception) -> AforoError | None:
    """The error to tell the client about, or None when `error` is a bug of ours."""
    match error:
        case AforoError():
            return error
        case exceptions.APIException():
            return _told_by_rest_framework(error)
        case Http404():
            return NotFound("there is no such thing here")
        case RequestDataTooBig():
            return TooLarge("the body is larger than 10 MiB")
        case SuspiciousOperation():
            return Unreadable("the request cannot be understood")
        case _:
            return _told_by_servers(error)


def problem_response(error: AforoError) -> HttpResponse:
    """`error` as `application/problem+json`."""
    body = problem_members(error)
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooMany | Unavailable | InFlight):
        headers["Retry-After"] = str(error.retry_after)  # whole seconds: clients read no dates
        body["retryAfter"] = error.retry_after
    if isinstance(error, RateExceeded):
        headers |= error.rate.headers
    return JsonResponse(body, status=error.status, content_type=CONTENT_TYPE, headers=headers)


def problem_members(error: AforoError) -> dict[str, object]:
    """The members of a problem document, for answers that carry more than a problem."""
    return problem_of(error, instance=request_id())


def answer_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handler404: problem details for programs, a page for people."""
    if request.path.startswith(API_PATHS):
        return problem_response(NotFound(f"there is nothing at {request.path}"))
    return defaults.page_not_found(request, exception)


def answer_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handler400: a host we do not serve, a body too large."""
    if request.path.startswith(API_PATHS):
        return problem_response(expected_error(exception) or Unreadable("bad request"))
    return defaults.bad_request(request, exception)


def answer_server_error(request: HttpRequest) -> HttpResponse:
    """Handler500: says nothing of what broke; the log has it under the request's id."""
    if request.path.startswith(API_PATHS):
        return problem_response(Unexpected("this is our fault and has been logged"))
    return defaults.server_error(request)


def _told_by_rest_framework(error: exceptions.APIException) -> AforoError | None:
    if isinstance(error, exceptions.ValidationError):
        return _refused_fields(error.detail)
    kind = _BY_STATUS.get(error.status_code)
    return kind(str(error.detail)) if kind else None


def _told_by_servers(error: Exception) -> AforoError | None:
    match error:
        case IntegrityError():
            return _broken_promise(error)
        case DataError():
            log.warning("value_refused_by_database", exc_info=error)
            return Refused("a value is too large or of the wrong kind", code="VALUE_OUT_OF_RANGE")
        case OperationalError() | InterfaceError():
            log.warning("database_away", exc_info=error)
            return Unavailable("the database is away for a moment")
        case RedisError():
            log.warning("redis_away", exc_info=error)
            return Unavailable("the cache is away for a moment")
        case _:
            return None


def _broken_promise(error: IntegrityError) -> AforoError | None:
    """What a constraint of the database says; its name reads as a sentence."""
    diagnosis = getattr(error.__cause__, "diag", None)
    sqlstate = getattr(error.__cause__, "sqlstate", "")
    sentence = (getattr(diagnosis, "constraint_name", "") or "").replace("_", " ")
    match sqlstate:
        case "23505" | "23P01":
            return Conflict(f"there is one like it already: {sentence}", code="ALREADY_EXISTS")
        case "23503":
            return Conflict(f"something else still depends on it: {sentence}", code="IN_USE")
        case "23514":
            return Refused(f"the database refused it: {sentence}")
        case _:
            return None


def _refused_fields(detail: Any) -> Refused:
    errors = tuple(_field_errors("", detail))
    named = [
        f"{one.field}: {one.message}" if one.field else one.message
        for one in errors[:_NAMED_IN_DETAIL]
    ]
    if len(errors) > _NAMED_IN_DETAIL:
        named.append(f"and {len(errors) - _NAMED_IN_DETAIL} more")
    return Refused("; ".join(named), errors=errors)


def _field_errors(path: str, detail: Any) -> Iterator[FieldError]:
    """DRF's nested details as a flat list: `prices[0].terms` for what lies deeper."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            if isinstance(name, int):  # a place in a list
                yield from _field_errors(f"{path}[{name}]", inner)
                continue
            own = name if name != "non_field_errors" else ""
            yield from _field_errors(".".join(filter(None, (path, own))), inner)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            is_nested = isinstance(inner, Mapping | list)
            yield from _field_errors(f"{path}[{index}]" if is_nested else path, inner)
    else:
        yield FieldError(path, str(getattr(detail, "code", "invalid")).upper(), str(detail))
