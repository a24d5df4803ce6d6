"""What the OpenAPI document has to be told: keys, envelopes and problems."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from aforo.api.problems import CONTENT_TYPE
from aforo.api.views import TenantAPIView

_ENVELOPED = "x-enveloped"  # marks an operation from its view to the hook, which removes it
PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what happened, for people"},
        "instance": {"type": "string", "description": "the id of the request"},
        "code": {"type": "string", "description": "what happened, for programs; stable"},
        "retryAfter": {"type": "integer", "description": "seconds, when asking again makes sense"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


class OperatorKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its own
    target_class = "aforo.api.authentication.OperatorKeyAuthentication"
    name = "operatorKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An operator key, `afo_...`."}


class AnyKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its own
    target_class = "aforo.api.authentication.AnyKeyAuthentication"
    name = "anyKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A key of either kind."}


class ApiSchema(AutoSchema):
    """Knows the headers that every admin endpoint takes, and which answers are enveloped."""

    def get_extensions(self) -> dict[str, Any]:
        return {_ENVELOPED: True} if isinstance(self.view, TenantAPIView) else {}

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = super().get_override_parameters()
        if isinstance(self.view, TenantAPIView):
            parameters = [*parameters, _header("X-Tenant-Id", "must name the key's tenant")]
            if self.method == "POST" and self.view.replays_answers:
                text = "the same key gets the same answer for 24 hours, and acts once"
                parameters.append(_header("Idempotency-Key", text))
        return parameters


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: envelope the entities, and give each operation its problems."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for path in result["paths"].values():
        for operation in path.values():
            if operation.pop(_ENVELOPED, False):
                _envelope(operation["responses"])
            operation["responses"].setdefault(
                "default", {"description": "A problem.", "content": {CONTENT_TYPE: problem}}
            )
    return result


def _envelope(responses: dict[str, Any]) -> None:
    for response in responses.values():
        answer = response.get("content", {}).get("application/json")
        if answer is not None and _is_entity(answer["schema"]):
            answer["schema"] = {"allOf": [answer["schema"], _envelope_of(answer["schema"])]}


def _is_entity(schema: dict[str, Any]) -> bool:
    return "$ref" in schema and not schema["$ref"].startswith("#/components/schemas/Paginated")


def _envelope_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["success", "data", "meta"],
        "properties": {
            "success": {"type": "boolean"},
            "data": schema,
            "meta": {"type": "object", "additionalProperties": True},
        },
    }


def _header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)
