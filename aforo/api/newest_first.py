"""Pages of rows that are made all the time, newest first, by a cursor that no new row shifts."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.cursors import PARAMETERS, cursor_of, cursor_page, place_of
from aforo.api.paging import parameter, schema_of_page, size_of

_BITS = 43  # a third of an id: a cursor holds numbers of at most 63 bits
_THIRD = (1 << _BITS) - 1


class NewestFirst(BasePagination):
    """`?cursor=` and `?size=` over rows whose ids rise with time; nothing is counted."""

    size = 0
    next_cursor: str | None = None

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any | None = None
    ) -> list[Any]:
        self.size = size_of(request)
        place = place_of(request, parts=3)
        if place is not None:
            queryset = queryset.filter(pk__lt=_id_at(place))
        rows = list(queryset.order_by("-pk")[: self.size + 1])
        page = rows[: self.size]
        self.next_cursor = _cursor_after(page[-1].pk) if len(rows) > self.size else None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        return cursor_page(data, next_cursor=self.next_cursor, size=self.size)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        content = {"type": "array", "items": schema}
        return schema_of_page({"content": content, "nextCursor": {"type": ["string", "null"]}})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [_described(one) for one in PARAMETERS]


def _described(one: OpenApiParameter) -> dict[str, Any]:
    kind = "integer" if one.type is int else "string"
    return parameter(one.name, str(one.description), {"type": kind})


def _cursor_after(row_id: UUID) -> str:
    number = row_id.int
    return cursor_of(number >> 2 * _BITS, number >> _BITS & _THIRD, number & _THIRD)


def _id_at(place: list[int]) -> UUID:
    """The id that a cursor was made of; numbers that make none wrap around to some other id."""
    high, middle, low = (abs(number) & _THIRD for number in place)
    return UUID(int=(high << 2 * _BITS | middle << _BITS | low) & (1 << 128) - 1)
