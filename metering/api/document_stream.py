"""The live stream in the OpenAPI document: another process answers it."""

from typing import Any

from metering.ingest.live import Step

_TYPES = ", ".join(step.value for step in Step)


def add_stream(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: describe the one route of the stream's process."""
    result["paths"]["/api/v1/events/stream"] = {"get": _OPERATION}
    return result


def _query(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"in": "query", "name": name, "schema": schema, "description": description}


_OPERATION: dict[str, Any] = {
    "operationId": "events_stream",
    "description": (
        "What happens to events, as server-sent events. A process of its own answers this path; "
        "the web process says where it is (421)."
    ),
    "tags": ["events"],
    "security": [{"anyKey": []}, {}],
    "parameters": [
        _query("types", f"of {_TYPES}, separated by commas; all by default"),
        _query("customerId", "as it was sent"),
        _query("metric", "metricName as it was sent"),
        _query("ticket", "instead of a key"),
    ],
    "responses": {
        "200": {
            "description": "A stream that does not end by itself.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
}
