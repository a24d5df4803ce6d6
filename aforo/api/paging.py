"""Pages of entities: `{content, totalElements}`, counted from page 0."""

from collections.abc import Mapping
from typing import Any

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.errors import Unreadable

DEFAULT_SIZE = 50
MAX_SIZE = 200
MAX_PAGE = 1_000_000
SIZE_MEANS = f"how many on a page, at most {MAX_SIZE}"


class PageOfEntities(BasePagination):
    """`?page=` from 0 and `?size=`, of which at most 200 are given."""

    page = 0
    size = DEFAULT_SIZE
    total = 0

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any | None = None
    ) -> list[Any]:
        self.page = _number(request, "page", default=0, least=0, most=MAX_PAGE)
        self.size = size_of(request)
        self.total = queryset.count()
        start = self.page * self.size
        return list(queryset[start : start + self.size])

    def get_paginated_response(self, data: Any) -> Response:
        return Response(page_of(data, total=self.total, page=self.page, size=self.size))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema_of_page({"content": schema, "totalElements": {"type": "integer"}})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            parameter("page", "counted from 0", {"type": "integer", "minimum": 0}),
            parameter("size", SIZE_MEANS, {"type": "integer", "minimum": 1}),
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


def size_of(request: Request) -> int:
    """How many rows the page has at most. Raises Unreadable."""
    return min(_number(request, "size", default=DEFAULT_SIZE, least=1), MAX_SIZE)


def schema_of_page(members: Mapping[str, Any]) -> dict[str, Any]:
    """How the OpenAPI document tells a page that has `members`, bare and enveloped."""
    return {
        "type": "object",
        "required": ["success", "data", "meta", *members],
        "properties": {
            "success": {"type": "boolean"},
            "data": {"type": "object", "properties": members},
            "meta": {"type": "object", "additionalProperties": {"type": "integer"}},
            **members,
        },
    }


def parameter(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """How the OpenAPI document tells what a page is asked for."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }


def _number(
    request: Request, name: str, *, default: int, least: int, most: int | None = None
) -> int:
    text = request.query_params.get(name, str(default))
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004  # no number is longer
        number = int(text)
        if number >= least and (most is None or number <= most):
            return number
    raise Unreadable.naming(name, "INVALID", f"'{text[:20]}' is not a number from {least}")
