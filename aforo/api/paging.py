"""Pages of entities: `{content, totalElements}`, counted from page 0."""

from typing import Any

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.errors import FieldError, Unreadable

DEFAULT_SIZE = 50
MAX_SIZE = 200
MAX_PAGE = 1_000_000


class PageOfEntities(BasePagination):
    """`?page=` from 0 and `?size=`, of which at most 200 are given."""

    page = 0
    size = DEFAULT_SIZE
    total = 0

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any | None = None
    ) -> list[Any]:
        self.page = _number(request, "page", default=0, least=0, most=MAX_PAGE)
        self.size = min(_number(request, "size", default=DEFAULT_SIZE, least=1), MAX_SIZE)
        self.total = queryset.count()
        start = self.page * self.size
        return list(queryset[start : start + self.size])

    def get_paginated_response(self, data: Any) -> Response:
        return Response(page_of(data, total=self.total, page=self.page, size=self.size))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        content = {
            "content": schema,
            "totalElements": {"type": "integer"},
        }
        return {
            "type": "object",
            "required": ["success", "data", "meta", *content],
            "properties": {
                "success": {"type": "boolean"},
                "data": {"type": "object", "properties": content},
                "meta": {"type": "object", "additionalProperties": {"type": "integer"}},
                **content,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            _parameter("page", "counted from 0", minimum=0),
            _parameter("size", f"how many on a page, at most {MAX_SIZE}", minimum=1),
        ]


def page_of(content: list[Any], *, total: int, page: int, size: int) -> dict[str, Any]:
    """One page, bare and enveloped."""
    return {
        "success": True,
        "data": {"content": content, "totalElements": total},
        "meta": {"page": page, "size": size},
        "content": content,
        "totalElements": total,
    }


def _number(
    request: Request, name: str, *, default: int, least: int, most: int | None = None
) -> int:
    text = request.query_params.get(name, str(default))
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004  # no number is longer
        number = int(text)
        if number >= least and (most is None or number <= most):
            return number
    message = f"'{text}' is not a number from {least}"
    raise Unreadable(f"{name}: {message}", errors=(FieldError(name, "INVALID", message),))


def _parameter(name: str, description: str, *, minimum: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "integer", "minimum": minimum},
    }
