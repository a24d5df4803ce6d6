"""The routes of tokens in the OpenAPI document: plain views, which its generator cannot see."""

from typing import Any

_CLIENT = {
    "client_id": {"type": "string", "description": "the key's id; need not be given"},
    "client_secret": {"type": "string", "description": "an API key, unless it is in a header"},
}
_TEXT = {"type": "string"}
_TOKEN = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        "access_token": _TEXT,
        "token_type": {"type": "string", "enum": ["Bearer"]},
        "expires_in": {"type": "integer", "description": "seconds"},
        "scope": _TEXT,
    },
}
_ERROR = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {"error": _TEXT, "error_description": _TEXT},
}
_KEYS = {
    "type": "object",
    "required": ["keys"],
    "properties": {
        "keys": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kid", "kty", "use", "alg", "n", "e"],
                "properties": dict.fromkeys(("kid", "kty", "use", "alg", "n", "e"), _TEXT),
            },
        }
    },
}


def add_tokens(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing: describe how tokens are got, taken back and verified."""
    asked = {"grant_type": {"type": "string", "enum": ["client_credentials"]}, "scope": _TEXT}
    result["paths"]["/oauth/token"] = {
        "post": _operation(
            "oauth_token",
            "A token of 15 minutes for a metering key, which is the client's secret.",
            _body({**asked, **_CLIENT}, "grant_type"),
            _TOKEN,
        )
    }
    result["paths"]["/oauth/revoke"] = {
        "post": _operation(
            "oauth_revoke",
            "Take a token back before its end.",
            _body({"token": _TEXT, **_CLIENT}, "token"),
            {"type": "object"},
        )
    }
    result["paths"]["/.well-known/jwks.json"] = {
        "get": {
            "operationId": "token_keys",
            "description": "The keys that tokens are verified with (RFC 7517).",
            "tags": ["oauth"],
            "security": [{}],
            "responses": {"200": _answer("The keys that sign now, or soon, or did.", _KEYS)},
        }
    }
    return result


def _operation(
    name: str, description: str, body: dict[str, Any], answer: dict[str, Any]
) -> dict[str, Any]:
    return {
        "operationId": name,
        "description": description,
        "tags": ["oauth"],
        "security": [{}],
        "requestBody": body,
        "responses": {
            "200": _answer("Done.", answer),
            "400": _answer("Asked for wrongly: RFC 6749, 5.2.", _ERROR),
            "401": _answer("No open key is this client's secret.", _ERROR),
        },
    }


def _body(properties: dict[str, Any], required: str) -> dict[str, Any]:
    schema = {"type": "object", "required": [required], "properties": properties}
    kinds = ("application/x-www-form-urlencoded", "application/json")
    return {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
