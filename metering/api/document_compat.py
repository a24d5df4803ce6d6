"""The doors for other people's clients in the OpenAPI document, and the one for costs."""

from typing import Any, NamedTuple, cast

from aforo.api.problems import CONTENT_TYPE as PROBLEM
from aforo.api.schema import PROBLEM as PROBLEM_SCHEMA
from metering.compat import cloudevents
from metering.ingest.costs import KINDS
from metering.ingest.events import MAX_EVENTS

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_ANY: dict[str, Any] = {"type": "object", "additionalProperties": True}
_TEXT = {"type": "string"}


def _object(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": True,
    }


def _many(of: str) -> dict[str, Any]:
    return {
        "type": "array",
        "maxItems": MAX_EVENTS,
        "items": {"$ref": f"#/components/schemas/{of}"},
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_MOMENT = {"type": ["number", "string", "null"], "description": "seconds since 1970, or RFC 3339"}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "CloudEvent": _object(
        ["specversion", "id", "source", "type", "subject"],
        specversion={"type": "string", "description": "1.0"},
        id=_TEXT,
        source=_TEXT | {"description": "with `id` the idempotency key"},
        type=_TEXT | {"description": "the metric"},
        subject=_TEXT | {"description": "the customer"},
        time=_TEXT | {"type": ["string", "null"], "format": "date-time"},
        data={"description": "metadata; holds the quantity"},
    ),
    "LagoEvent": _object(
        ["transaction_id", "code"],
        transaction_id=_TEXT | {"description": "the idempotency key"},
        code=_TEXT | {"description": "the metric"},
        external_subscription_id=_TEXT
        | {"type": ["string", "null"], "description": "an alias, an own id of a subscription"},
        external_customer_id={"type": ["string", "null"]},
        timestamp=_MOMENT,
        properties={"type": ["object", "null"], "additionalProperties": True},
    ),
    "StripeMeterEvent": _object(
        ["event_name", "payload"],
        event_name=_TEXT | {"description": "the metric"},
        payload=_object(["stripe_customer_id"], stripe_customer_id=_TEXT, value=_TEXT),
        identifier={"type": ["string", "null"], "description": "the idempotency key"},
        timestamp=_MOMENT,
    ),
    "ReportedCost": _object(
        ["kind", "amount", "currency", "customerId"],
        kind={"type": "string", "enum": sorted(KINDS)},
        amount={"type": ["number", "string"], "minimum": 0},
        currency={"type": "string", "minLength": 3, "maxLength": 3, "description": "ISO 4217"},
        customerId=_TEXT,
        idempotencyKey={"type": ["string", "null"]},
        usageKey={"type": ["string", "null"], "description": "the key of the usage it belongs to"},
        metricName={"type": ["string", "null"]},
        occurredAt={"type": ["string", "number", "null"]},
        metadata={"type": ["object", "null"], "additionalProperties": True},
    ),
}
_LAGO_ERROR = _object(["status", "error", "code"], status={"type": "integer"}, error=_TEXT)
_STRIPE_ERROR = _object(["error"], error=_object(["type", "code", "message"], message=_TEXT))


class _Door(NamedTuple):
    """One route: what it takes by content type, and how it says yes and no."""

    operation_id: str
    says: str
    takes: dict[str, dict[str, Any]]
    status: str
    answer: dict[str, Any] | None
    problem: tuple[str, dict[str, Any]]


_CLOUD = {"oneOf": [_ref("CloudEvent"), _many("CloudEvent")]}
_LAGO = (_JSON, _LAGO_ERROR)
_STRIPE = (_JSON, _STRIPE_ERROR)
_DOORS = {
    "/compat/openmeter/api/v1/events": _Door(
        "openmeter_events",
        "OpenMeter's ingest route. 204 if any event may pass.",
        {cloudevents.STRUCTURED: _CLOUD, cloudevents.BATCHED: _CLOUD, _JSON: _CLOUD},
        "204",
        None,
        (PROBLEM, _ref("Problem")),
    ),
    "/compat/lago/api/v1/events": _Door(
        "lago_event",
        "Lago's route for one event.",
        {_JSON: _object(["event"], event=_ref("LagoEvent"))},
        "200",
        _object(["event"], event=_ANY),
        _LAGO,
    ),
    "/compat/lago/api/v1/events/batch": _Door(
        "lago_events",
        "Lago's route for many events; `error_details` names the refused ones by index.",
        {_JSON: _object(["events"], events=_many("LagoEvent"))},
        "200",
        _object(["events"], events={"type": "array", "items": _ANY}),
        _LAGO,
    ),
    "/compat/stripe/v1/billing/meter_events": _Door(
        "stripe_meter_event",
        "Stripe's route for one meter event, form encoded.",
        {_FORM: _ref("StripeMeterEvent")},
        "200",
        _object(["object", "event_name", "identifier", "payload", "timestamp"]),
        _STRIPE,
    ),
    "/compat/stripe/v2/billing/meter_events": _Door(
        "stripe_meter_event_v2",
        "Stripe's route for one meter event as JSON.",
        {_JSON: _ref("StripeMeterEvent")},
        "200",
        _object(["object", "event_name", "identifier", "payload", "timestamp"]),
        _STRIPE,
    ),
    "/compat/stripe/v2/billing/meter_event_session": _Door(
        "stripe_meter_event_session",
        "Opens a session of Stripe's event stream, for 15 minutes.",
        {},
        "200",
        _object(["authentication_token", "expires_at", "id", "object"]),
        _STRIPE,
    ),
    "/compat/stripe/v2/billing/meter_event_stream": _Door(
        "stripe_meter_event_stream",
        "Stripe's event stream; the bearer is the `authentication_token` of a session.",
        {_JSON: _object(["events"], events=_many("StripeMeterEvent"))},
        "200",
        _ANY,
        _STRIPE,
    ),
}
_COUNT = {"type": "integer"}
_COSTS_ANSWER = _object(
    ["accepted", "duplicates", "failed", "errors", "killedSessionIds", "batchId"],
    accepted=_COUNT,
    duplicates=_COUNT | {"description": "kept before, by this request or an earlier one"},
    failed=_COUNT,
    errors={"type": "array", "items": _object(["index", "code", "error"], index=_COUNT)},
    killedSessionIds={"type": "array", "items": _TEXT},
    batchId={"type": "null", "description": "costs do not wait: there is no batch to ask about"},
)


def add_foreign_doors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: describe the routes under /compat and the one for costs."""
    result["components"]["schemas"] |= _SCHEMAS
    for path, door in _DOORS.items():
        result["paths"][path] = {"post": _operation(door)}
    result["paths"]["/v1/ingest/cogs"] = {"post": _costs()}
    return result


def _operation(door: _Door) -> dict[str, Any]:
    content_type, problem = door.problem
    yes: dict[str, Any] = {"description": "On disk: no accepted event can be lost."}
    if door.answer is not None:
        yes["content"] = {_JSON: {"schema": door.answer}}
    no = {"description": "A problem.", "content": {content_type: {"schema": problem}}}
    operation: dict[str, Any] = {
        "operationId": door.operation_id,
        "description": door.says,
        "tags": ["compat"],
        "security": [{"meteringKey": []}],
        "responses": {door.status: yes, "default": no},
    }
    if door.takes:
        content = {kind: {"schema": schema} for kind, schema in door.takes.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _costs() -> dict[str, Any]:
    several = _object(["events"], events=_many("ReportedCost"))
    body = {"oneOf": [_ref("ReportedCost"), several, _many("ReportedCost")]}
    refused = {
        "allOf": [
            {**PROBLEM_SCHEMA, "properties": _without_errors()},
            _COSTS_ANSWER,
        ]
    }
    return {
        "operationId": "ingest_costs",
        "description": "Report costs: one, `{events: [...]}` or a bare array, up to 10 MiB.",
        "tags": ["ingest"],
        "security": [{"meteringKey": []}],
        "requestBody": {"required": True, "content": {_JSON: {"schema": body}}},
        "responses": {
            "202": {
                "description": "On disk.",
                "content": {_JSON: {"schema": _COSTS_ANSWER}},
            },
            "422": {
                "description": "Every cost was refused.",
                "content": {PROBLEM: {"schema": refused}},
            },
        },
    }


def _without_errors() -> dict[str, Any]:
    """The members of a problem; its `errors` are by field, those of an answer by index."""
    properties = cast(dict[str, Any], PROBLEM_SCHEMA["properties"])
    return {name: schema for name, schema in properties.items() if name != "errors"}
