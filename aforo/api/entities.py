"""How one entity is answered: its own fields at the top, and enveloped beside them.

Clients disagree on bare versus enveloped answers, so each finds what it looks for.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework.response import Response


def entity(fields: Mapping[str, Any], **meta: object) -> dict[str, Any]:
    """`fields` at top level plus `success`, `data` and `meta`."""
    return {**fields, "success": True, "data": dict(fields), "meta": meta}


def entity_response(fields: Mapping[str, Any], *, status: int = 200, **meta: object) -> Response:
    """The answer of a single entity."""
    return Response(entity(fields, **meta), status=status)
