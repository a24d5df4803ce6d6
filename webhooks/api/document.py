"""The webhook route in the OpenAPI document: a plain view, which its generator cannot see."""

from typing import Any

_COUNT = {"type": "integer"}
_ID = {"type": ["string", "null"], "format": "uuid"}
_PAYLOAD: dict[str, Any] = {"type": "object", "additionalProperties": True}
_ANSWER = {
    "type": "object",
    "required": ["accepted", "duplicates", "failed", "errors", "batchId", "deliveryId"],
    "properties": {
        "accepted": _COUNT,
        "duplicates": _COUNT,
        "failed": _COUNT | {"description": "kept as dead letters"},
        "errors": {"type": "array", "items": _PAYLOAD},
        "killedSessionIds": {"type": "array", "items": {"type": "string"}},
        "batchId": _ID,
        "deliveryId": {"type": "string", "format": "uuid"},
    },
}


def add_webhook(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: describe where sources push to."""
    result["paths"]["/v1/ingest/webhook/{source_id}"] = {"post": _operation()}
    return result


def _operation() -> dict[str, Any]:
    schema = {"oneOf": [_PAYLOAD, {"type": "array", "items": _PAYLOAD}]}
    return {
        "operationId": "ingest_webhook",
        "description": "Push one payload or an array. No key: the source's signature says who.",
        "tags": ["ingest"],
        "security": [{}],
        "parameters": [
            _parameter("source_id", "path", "the id of the source", {"format": "uuid"}),
            _parameter("X-Hub-Signature-256", "header", "HMAC-SHA256 in hex, or the source's own"),
            _parameter("X-Aforo-Timestamp", "header", "seconds since 1970, signed before the body"),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "202": {
                "description": "On disk, counted or kept as a dead letter.",
                "content": {"application/json": {"schema": _ANSWER}},
            }
        },
    }


def _parameter(
    name: str, place: str, description: str, more: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": {"type": "string", **(more or {})},
    }
