"""The webhook route in the OpenAPI document: a plain view, which its generator cannot see."""

from typing import Any

_PAYLOAD: dict[str, Any] = {"type": "object", "additionalProperties": True}
_ANSWER = {
    "type": "object",
    "required": ["deliveryId", "verdict"],
    "properties": {
        "deliveryId": {"type": "string", "format": "uuid"},
        "verdict": {"type": "string", "enum": ["RECEIVED", "DUPLICATE"]},
    },
}
_CHALLENGE = {"type": "object", "properties": {"challenge": {"type": "string"}}}


def add_webhook(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: describe where sources push to."""
    result["paths"]["/v1/ingest/webhook/{source_id}"] = {"post": _operation()}
    return result


def _operation() -> dict[str, Any]:
    schema = {"oneOf": [_PAYLOAD, {"type": "array", "items": _PAYLOAD}]}
    return {
        "operationId": "ingest_webhook",
        "description": "Push one payload, an array or a form. No key: its signature says who.",
        "tags": ["ingest"],
        "security": [{}],
        "parameters": [
            _parameter("source_id", "path", "the id of the source", {"format": "uuid"}),
            _parameter("X-Hub-Signature-256", "header", "HMAC-SHA256 in hex, or the source's own"),
            _parameter("X-Aforo-Timestamp", "header", "seconds since 1970, signed before the body"),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schema},
                "application/x-www-form-urlencoded": {"schema": _PAYLOAD},
            },
        },
        "responses": {
            "202": {
                "description": "On disk; a task makes events of it.",
                "content": {"application/json": {"schema": _ANSWER}},
            },
            "200": {
                "description": "As a provider expects it: Slack's challenge, empty TwiML.",
                "content": {
                    "application/json": {"schema": _CHALLENGE},
                    "text/xml": {"schema": {"type": "string"}},
                },
            },
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
