"""The ingest routes in the OpenAPI document: plain views, which its generator cannot see."""

from typing import Any

from aforo.api.problems import CONTENT_TYPE as PROBLEM
from metering.ingest.events import MAX_EVENTS
from metering.ingest.gates import MAX_KEY, MAX_METADATA_BYTES, MAX_TEXT, QUANTITY_PLACES

_PATHS = {
    "/v1/ingest": "ingest",
    "/v1/ingest/batch": "ingest_batch",
    "/v1/ingest/events": "ingest_events",
    "/v1/ingest/events/batch": "ingest_events_batch",
}
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A metering key, `sk_live_...` or `sk_test_...`.",
}


def _text(description: str, most: int = MAX_TEXT) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "description": description}


_EVENT = {
    "type": "object",
    "description": "One usage event. Fields that are not listed move into metadata.",
    "required": ["customerId", "metricName", "quantity"],
    "additionalProperties": True,
    "properties": {
        "customerId": _text("external id, own id or alias of the customer"),
        "metricName": _text("a billable unit, or the source metric of some"),
        "quantity": {
            "type": ["number", "string"],
            "minimum": 0,
            "description": f"not negative, at most {QUANTITY_PLACES} decimals",
        },
        "idempotencyKey": _text("one per event; the same key never counts twice", MAX_KEY),
        "occurredAt": {
            "type": ["string", "number"],
            "description": "RFC 3339, or milliseconds since 1970; by default the arrival",
        },
        "productType": _text("kept with the event"),
        "sessionId": _text("kept with the event"),
        "agentId": _text("kept with the event"),
        "toolName": _text("kept with the event"),
        "traceId": _text("kept with the event"),
        "metadata": {
            "type": "object",
            "description": f"at most {MAX_METADATA_BYTES} bytes; conditions and UNIQUE look at it",
        },
    },
}
_EVENTS = {
    "type": "array",
    "maxItems": MAX_EVENTS,
    "items": {"$ref": "#/components/schemas/UsageEvent"},
}
_BODY = {
    "oneOf": [
        {"$ref": "#/components/schemas/UsageEvent"},
        {"type": "object", "required": ["events"], "properties": {"events": _EVENTS}},
        _EVENTS,
    ]
}
_COUNT = {"type": "integer"}
_ANSWER = {
    "type": "object",
    "required": ["accepted", "duplicates", "failed", "errors", "killedSessionIds", "batchId"],
    "properties": {
        "accepted": _COUNT,
        "duplicates": _COUNT | {"description": "repeats inside this request"},
        "failed": _COUNT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "code", "error"],
                "properties": {
                    "index": _COUNT,
                    "code": {"type": "string"},
                    "error": {"type": "string"},
                },
            },
        },
        "killedSessionIds": {"type": "array", "items": {"type": "string"}},
        "batchId": {"type": "string", "format": "uuid"},
        "idempotencyKeys": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "by index, the keys made for events that came without one",
        },
    },
}


def add_ingest(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: describe the four routes of the one ingest door."""
    components = result["components"]
    components["schemas"] |= {"UsageEvent": _EVENT, "IngestAnswer": _ANSWER}
    components["securitySchemes"]["meteringKey"] = _KEY
    for path, operation_id in _PATHS.items():
        result["paths"][path] = {"post": _operation(operation_id)}
    return result


def _operation(operation_id: str) -> dict[str, Any]:
    answer = {"$ref": "#/components/schemas/IngestAnswer"}
    problem = {"allOf": [{"$ref": "#/components/schemas/Problem"}, answer]}
    return {
        "operationId": operation_id,
        "description": "Send usage: one event, `{events: [...]}` or a bare array, up to 10 MiB.",
        "tags": ["ingest"],
        "security": [{"meteringKey": []}],
        "parameters": [
            _header("X-Tenant-Id", "must name the key's tenant"),
            _header("Idempotency-Key", "of a single event that has none of its own"),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}},
        "responses": {
            "202": {
                "description": "On disk: no accepted event can be lost.",
                "content": {"application/json": {"schema": answer}},
            },
            "422": {
                "description": "Every event was refused.",
                "content": {PROBLEM: {"schema": problem}},
            },
        },
    }


def _header(name: str, description: str) -> dict[str, Any]:
    return {
        "in": "header",
        "name": name,
        "schema": {"type": "string"},
        "description": description,
    }
