"""Pages of what grows with traffic: `{content, nextCursor}`, no total, no page number.

A cursor says where the last page ended. It is opaque to clients, and only its route reads it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.paging import SIZE_MEANS
from aforo.errors import Unreadable

PARAMETERS = (
    OpenApiParameter("cursor", str, description="`nextCursor` of the page before"),
    OpenApiParameter("size", int, description=SIZE_MEANS),
)


def cursor_of(*place: object) -> str:
    """The cursor that `place_of` turns into the texts of `place` again; none holds a colon."""
    return urlsafe_b64encode(":".join(map(str, place)).encode()).decode().rstrip("=")


def place_of(request: Request, *, parts: int) -> list[int] | None:
    """Where the page begins, as whole numbers; None for the first. Raises Unreadable."""
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        numbers = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(":")
        place = [int(number) for number in numbers]
    except ValueError:
        raise no_cursor() from None
    if len(place) != parts or any(abs(number) >> 63 for number in place):
        raise no_cursor()
    return place


def cursor_page(content: list[Any], *, next_cursor: str | None, size: int) -> Response:
    """One page, bare and enveloped. Without `nextCursor` it is the last one."""
    page = {"content": content, "nextCursor": next_cursor}
    return Response({"success": True, "data": page, "meta": {"size": size}, **page})


def no_cursor() -> Unreadable:
    """What is said of a cursor that no page gave."""
    return Unreadable.naming("cursor", "INVALID", "this is no cursor of ours")
