"""The ingest routes in the OpenAPI document: plain views, which its generator cannot see."""

from typing import Any, NamedTuple

from aforo.api.problems import CONTENT_TYPE as PROBLEM
from aforo.api.schema import PROBLEM as PROBLEM_SCHEMA
from metering.api.encodings import ENCODINGS
from metering.ingest.events import MAX_EVENTS
from metering.ingest.gates import MAX_KEY, MAX_METADATA_BYTES, MAX_TEXT, QUANTITY_PLACES


class _Route(NamedTuple):
    operation_id: str
    schema: str  # of one event
    says: str


_USAGE = "Send usage: one event, `{events: [...]}` or a bare array, up to 10 MiB."
_COMPOUND = "Send requests that were measured several ways: each measurement becomes an event."
_PATHS = {
    "/v1/ingest": _Route("ingest", "UsageEvent", _USAGE),
    "/v1/ingest/batch": _Route("ingest_batch", "UsageEvent", _USAGE),
    "/v1/ingest/events": _Route("ingest_events", "UsageEvent", _USAGE),
    "/v1/ingest/events/batch": _Route("ingest_events_batch", "UsageEvent", _USAGE),
    "/v1/events": _Route("events", "QuickEvent", f"{_USAGE} An absent quantity is 1."),
    "/v1/meter": _Route("meter", "MeteredCall", _USAGE),
    "/api/v1/ingest/compound": _Route("ingest_compound", "CompoundEvent", _COMPOUND),
    "/api/v1/ingest/compound/batch": _Route("ingest_compound_batch", "CompoundEvent", _COMPOUND),
}
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A metering key, `sk_live_...` or `sk_test_...`.",
}


def _text(description: str, most: int = MAX_TEXT) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "description": description}


_EVENT: dict[str, Any] = {
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
_FIELDS = _EVENT["properties"]
_QUICK_EVENT = {
    "type": "object",
    "description": "A usage event under two names of its own; ours are taken as well.",
    "required": ["event", "customer_id"],
    "additionalProperties": True,
    "properties": {
        "event": _FIELDS["metricName"],
        "customer_id": _FIELDS["customerId"],
        "quantity": _FIELDS["quantity"] | {"default": 1},
    },
}
_METERED_CALL = {
    "type": "object",
    "description": "A usage event under three names of its own; ours are taken as well.",
    "required": ["tenantId", "metricKey", "quantity"],
    "additionalProperties": True,
    "properties": {
        "tenantId": _text("the caller's own tenant, who is our customer"),
        "metricKey": _FIELDS["metricName"],
        "quantity": _FIELDS["quantity"],
        "properties": _FIELDS["metadata"],
    },
}
_MEASUREMENT = {
    "type": "object",
    "required": ["metricName", "quantity"],
    "additionalProperties": True,
    "properties": {
        "metricName": _FIELDS["metricName"],
        "quantity": _FIELDS["quantity"],
        "dimensionKey": _text("kept in metadata, and part of the key"),
    },
}
_COMPOUND_EVENT = {
    "type": "object",
    "description": "Counted as a whole or, if one measurement is refused at the door, not at all.",
    "required": ["customerId", "measurements"],
    "additionalProperties": True,
    "properties": {
        "correlationId": _text("the keys of its events begin with it", MAX_KEY),
        "idempotencyKey": _text("stands in for correlationId in the keys", MAX_KEY),
        "customerId": _FIELDS["customerId"],
        "occurredAt": _FIELDS["occurredAt"],
        "metadata": _FIELDS["metadata"],
        "measurements": {"type": "array", "minItems": 1, "items": _MEASUREMENT},
    },
}
_COUNT = {"type": "integer"}
_ANSWER: dict[str, Any] = {
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
# A problem whose `errors` are those of the events, by index.
_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457) with the members of the answer.",
    "required": sorted({*PROBLEM_SCHEMA["required"], *_ANSWER["required"]}),
    "properties": PROBLEM_SCHEMA["properties"] | _ANSWER["properties"],
}


def add_ingest(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: describe the routes of the native doors."""
    components = result["components"]
    components["schemas"] |= {
        "UsageEvent": _EVENT,
        "QuickEvent": _QUICK_EVENT,
        "MeteredCall": _METERED_CALL,
        "CompoundEvent": _COMPOUND_EVENT,
        "IngestAnswer": _ANSWER,
        "IngestProblem": _PROBLEM,
    }
    components["securitySchemes"]["meteringKey"] = _KEY
    for path, route in _PATHS.items():
        result["paths"][path] = {"post": _operation(route)}
    return result


def _body(schema: str) -> dict[str, Any]:
    one = {"$ref": f"#/components/schemas/{schema}"}
    several = {"type": "array", "maxItems": MAX_EVENTS, "items": one}
    envelope = {"type": "object", "required": ["events"], "properties": {"events": several}}
    return {"oneOf": [one, envelope, several]}


def _operation(route: _Route) -> dict[str, Any]:
    answer = {"$ref": "#/components/schemas/IngestAnswer"}
    problem = {"$ref": "#/components/schemas/IngestProblem"}
    return {
        "operationId": route.operation_id,
        "description": route.says,
        "tags": ["ingest"],
        "security": [{"meteringKey": []}],
        "parameters": [
            _header("X-Tenant-Id", "must name the key's tenant"),
            _header("X-Aforo-Key", "the key, where there is no `Authorization`"),
            _header("Idempotency-Key", "of a single event that has none of its own"),
            _header("traceparent", "of a single event that has no traceId of its own"),
            _header("x-trace-id", "the same, where there is no `traceparent`"),
            _header("Content-Encoding", f"one of {', '.join(ENCODINGS)}"),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _body(route.schema)}},
        },
        "responses": {
            "202": {
                "description": "On disk: no accepted event can be lost.",
                "content": {"application/json": {"schema": answer}},
            },
            "403": {
                "description": "Every event is of another customer than a subscription's key.",
                "content": {PROBLEM: {"schema": problem}},
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
