"""Tokens for gateways: an API key is changed into a token, which others verify by themselves.

Answers are those of OAuth 2.0 (RFC 6749 and 7009), also when something is wrong.
"""

from base64 import b64decode
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from aforo.api.problems import NotAllowed, problem_response
from aforo.errors import AforoError
from aforo.tenancy import selectors
from aforo.tenancy.key_entries import is_called
from aforo.tenancy.key_use import note_use
from aforo.tenancy.models import ApiKey
from aforo.tenancy.roles import KEY_WRITERS
from aforo.tenancy.services import tokens
from catalog.selectors.token_subjects import subject_of

CACHED_SECONDS = 3600  # new keys are published two hours before they sign
View = Callable[[HttpRequest], HttpResponse]


class OAuthError(Exception):
    """What OAuth calls an error, by its name there."""

    def __init__(self, name: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.name = name
        self.status = status


def _posted(view: View) -> View:
    """A view that is asked by POST, and tells errors as OAuth does."""

    @wraps(view)
    def answered(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return problem_response(NotAllowed("this is asked for by POST"))
        try:
            answer = view(request)
        except OAuthError as error:
            said = {"error": error.name, "error_description": str(error)}
            answer = JsonResponse(said, status=error.status)
        except AforoError as error:
            return problem_response(error)
        answer["Cache-Control"] = "no-store"
        return answer

    return csrf_exempt(answered)


@_posted
def token(request: HttpRequest) -> HttpResponse:
    """A token of a quarter of an hour for whoever brings a metering key."""
    asked = _asked(request)
    key = _client(request, asked)
    if asked.get("grant_type") != "client_credentials":
        raise OAuthError("unsupported_grant_type", "there is client_credentials and nothing else")
    if key.kind != ApiKey.Kind.METERING:
        raise OAuthError("unauthorized_client", "operator keys are given no tokens")
    scopes = _scopes(asked.get("scope", ""))
    now = timezone.now()
    signed = tokens.issue_token(subject=subject_of(key), scopes=scopes, now=now)
    note_use(key.pk, now)
    return JsonResponse(
        {
            "access_token": signed,
            "token_type": "Bearer",
            "expires_in": int(tokens.LIFETIME.total_seconds()),
            "scope": " ".join(scopes),
        }
    )


@_posted
def revoke(request: HttpRequest) -> HttpResponse:
    """Take a token back before its end; what is no good token is none already."""
    asked = _asked(request)
    key = _client(request, asked)
    text = asked.get("token", "")
    if not text:
        raise OAuthError("invalid_request", "name the token")
    now = timezone.now()
    found = tokens.read_token(text, now=now)
    if found is not None:
        if not _may_revoke(key, found):
            raise OAuthError("unauthorized_client", "the token was given out to another key")
        tokens.block_token(token=found, now=now)
    return JsonResponse({})


def jwks(request: HttpRequest) -> HttpResponse:
    """The keys that tokens are verified with."""
    if request.method not in {"GET", "HEAD"}:
        return problem_response(NotAllowed("keys are read by GET"))
    answer = JsonResponse(tokens.key_set(now=timezone.now()))
    answer["Cache-Control"] = f"public, max-age={CACHED_SECONDS}"
    return answer


def _may_revoke(key: ApiKey, found: tokens.Token) -> bool:
    if key.kind == ApiKey.Kind.OPERATOR:
        return key.tenant_id == found.tenant_id and key.role in KEY_WRITERS
    return tokens.is_own(found, key)


def _asked(request: HttpRequest) -> dict[str, str]:
    """The parameters: a form, as OAuth has it, or JSON."""
    if request.content_type != "application/json":
        return {name: str(value) for name, value in request.POST.items()}
    try:
        said: dict[str, Any] = msgspec.json.decode(request.body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise OAuthError("invalid_request", "the body is no JSON object") from None
    return {name: value for name, value in said.items() if isinstance(value, str)}


def _client(request: HttpRequest, asked: dict[str, str]) -> ApiKey:
    """The key that is the secret of this client; its id, where one is given, must be the key's."""
    client_id, secret = _basic(request.headers.get("Authorization", ""))
    client_id = client_id or asked.get("client_id", "")
    key = selectors.open_key(secret or asked.get("client_secret", ""))
    named = request.headers.get("X-Tenant-Id", "")
    if key is None or client_id not in {"", str(key.pk)} or not _is_of(key, named):
        raise OAuthError("invalid_client", "no open API key is this client's secret", status=401)
    return key


def _is_of(key: ApiKey, tenant: str) -> bool:
    """Whether the key is of the tenant that was named; of whichever, when none was."""
    slug = key.tenant.slug
    return not tenant or is_called(tenant, tenant_id=key.tenant_id, slug=slug)


def _basic(header: str) -> tuple[str, str]:
    """Id and secret of `Authorization: Basic`; of Bearer the key alone."""
    scheme, _, said = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return "", said.strip()
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = b64decode(said, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


def _scopes(said: str) -> tuple[str, ...]:
    wanted = said.split()
    unknown = [one for one in wanted if one not in tokens.SCOPES]
    if unknown:
        raise OAuthError("invalid_scope", f"a metering key has {' and '.join(tokens.SCOPES)}")
    return tuple(one for one in tokens.SCOPES if one in wanted) or tokens.SCOPES
