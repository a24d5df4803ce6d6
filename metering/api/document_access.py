"""Access checks in the OpenAPI document: plain views, which its generator cannot see."""

from typing import Any

from metering.api.access_shapes import MOST_CHECKS

_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_NUMBER: dict[str, Any] = {"type": ["number", "null"], "description": "null: unlimited"}
_NAME = {"type": "string", "description": "external id, own id or alias of the customer"}
_HEADERS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
_REASONS = [
    "OK",
    "CUSTOMER_UNKNOWN",
    "SUBSCRIPTION_INACTIVE",
    "FEATURE_NOT_IN_PLAN",
    "MARGIN_BLOCKED",
    "QUOTA_EXCEEDED",
    "UNAVAILABLE",
]
_REASON = {"type": "string", "enum": _REASONS}
_FALLBACK = {"type": ["string", "null"], "enum": ["OPEN", "CLOSED", None]}
_FEATURE_CHECK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customerId": _NAME,
        "tenantId": {"type": "string", "description": "names the customer, like customerId"},
        "featureKey": {"type": "string", "description": "of a feature, or a billable unit"},
        "quantity": {"type": "number", "minimum": 0, "description": "that is about to be used"},
    },
}
_QUOTA_CHECK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customerId": _NAME,
        "metricName": {**_TEXT, "description": "absent: whatever is limited"},
        "estimatedQuantity": {"type": ["number", "null"], "description": "absent: 1"},
    },
}
_ACCESS: dict[str, Any] = {
    "type": "object",
    "required": ["allowed", "reason", "plan", "feature", "quota", "remaining", "headers"],
    "properties": {
        "allowed": {"type": "boolean"},
        "reason": _REASON,
        "plan": _TEXT,
        "feature": {"type": "string"},
        "value": _TEXT,
        "quota": _NUMBER,
        "remaining": _NUMBER,
        "remaining_quota": _NUMBER,
        "quota_reset": {"type": ["string", "null"], "format": "date-time"},
        "margin": {
            "type": "object",
            "properties": {"level": {"type": "string"}, "percent": {"type": ["number", "null"]}},
        },
        "headers": _HEADERS,
        "entitlements": {"type": "object", "additionalProperties": True},
        "fallback": _FALLBACK,
    },
}
_QUOTA: dict[str, Any] = {
    "type": "object",
    "required": ["decision", "reason", "currentUsage", "limit", "headers"],
    "properties": {
        "decision": {"type": "string", "enum": ["ALLOW", "WARN", "DENY"]},
        "reason": _REASON,
        "currentUsage": {**_NUMBER, "description": "null of what nobody limits"},
        "limit": _NUMBER,
        "retryAfterMs": {"type": ["integer", "null"]},
        "resetsAt": {"type": ["string", "null"], "format": "date-time"},
        "tierName": _TEXT,
        "headers": _HEADERS,
        "fallback": _FALLBACK,
    },
}


def add_access(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: describe access checks, one by one and many at once."""
    result["components"]["schemas"] |= {"AccessAnswer": _ACCESS, "QuotaAnswer": _QUOTA}
    for path, operation_id, check, answer in (
        ("/v1/canAccess", "can_access", _FEATURE_CHECK, "AccessAnswer"),
        ("/api/v1/quota/check", "quota_check", _QUOTA_CHECK, "QuotaAnswer"),
    ):
        shown = {"$ref": f"#/components/schemas/{answer}"}
        result["paths"][path] = {"post": _operation(operation_id, check, shown)}
        many = {"type": "array", "items": check, "minItems": 1, "maxItems": MOST_CHECKS}
        asked = {
            "type": "object",
            "required": ["checks"],
            "properties": {"customerId": _NAME, "checks": many},
        }
        told = {
            "type": "object",
            "required": ["results"],
            "properties": {"results": {"type": "array", "items": shown}},
        }
        batch = _operation(f"{operation_id}_batch", asked, told)
        result["paths"][f"{path}/batch"] = {"post": batch}
    return result


def _operation(operation_id: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "description": "Whether calls may pass; 200 also when they may not.",
        "tags": ["access"],
        "security": [{"meteringKey": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {
                "description": "The decision.",
                "content": {"application/json": {"schema": answer}},
            },
        },
    }
