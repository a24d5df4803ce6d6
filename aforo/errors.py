"""What can go wrong on purpose, and how HTTP says it.

AforoError
├── Unreadable       400  the request cannot be understood
├── Unauthenticated  401  no key, or one that no longer opens anything
├── Forbidden        403  this key or role may not
├── NotFound         404  not there, or somebody else's
├── Conflict         409  against the state of things
├── TooLarge         413  a body over the limit
├── Refused          422  a field or a business rule says no
├── TooMany          429  slow down, then come again
└── Unavailable      503  a server behind us is away for a moment

Anything else is a 500 and somebody's pager.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

PROBLEM = "application/problem+json"
TYPE_BASE = "https://errors.aforo.ai/"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that was refused: its path on the wire, a stable code, a sentence."""

    field: str
    code: str
    message: str


class AforoError(Exception):
    """An expected failure: a stable `code`, a `detail` for people, the fields at fault."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Error"
    code: str = "ERROR"

    def __init__(
        self, detail: str, *, code: str | None = None, errors: tuple[FieldError, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.errors = errors

    @classmethod
    def naming(cls, field: str, code: str, message: str) -> Self:
        """One field is at fault; `field` is its path on the wire."""
        return cls(f"{field}: {message}", errors=(FieldError(field, code, message),))


class Unreadable(AforoError):
    status, title, code = 400, "Bad Request", "BAD_REQUEST"


class Unauthenticated(AforoError):
    status, title, code = 401, "Unauthorized", "UNAUTHORIZED"


class Forbidden(AforoError):
    status, title, code = 403, "Forbidden", "FORBIDDEN"


class NotFound(AforoError):
    status, title, code = 404, "Not Found", "NOT_FOUND"


class Conflict(AforoError):
    status, title, code = 409, "Conflict", "CONFLICT"


class TooLarge(AforoError):
    status, title, code = 413, "Content Too Large", "TOO_LARGE"


class Refused(AforoError):
    status, title, code = 422, "Unprocessable Content", "UNPROCESSABLE_ENTITY"


class TooMany(AforoError):
    """Slow down: come again after `retry_after` seconds."""

    status, title, code = 429, "Too Many Requests", "RATE_LIMITED"

    def __init__(self, detail: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class Unavailable(AforoError):
    """A server behind us is away; `retry_after` seconds is a guess worth following."""

    status, title, code = 503, "Service Unavailable", "UNAVAILABLE"

    def __init__(self, detail: str, *, retry_after: int = 1, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


def problem_of(error: AforoError, *, instance: str) -> dict[str, Any]:
    """The members of a problem document (RFC 9457); `instance` is the request's id."""
    return {
        "type": TYPE_BASE + error.code.lower().replace("_", "-"),
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
        "code": error.code,
        "errors": [
            {"field": one.field, "code": one.code, "message": one.message} for one in error.errors
        ],
    }


def headers_of(error: AforoError) -> dict[str, str]:
    """What an answer that tells of `error` says beside its body."""
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case TooMany() | Unavailable():
            return {"Retry-After": str(error.retry_after)}
        case _:
            return {}
