"""Whether a token or a key was revoked: asked by gateways that check signatures by themselves."""

from contextlib import suppress
from uuid import UUID

import redis
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse

from aforo import valkey
from aforo.api.internal import internal_only
from aforo.api.problems import NotAllowed, problem_response
from aforo.errors import Refused
from aforo.tenancy.blocklist import blocked_client, blocked_token
from aforo.tenancy.models import ApiKey, BlockedToken


@internal_only
def token_check(request: HttpRequest) -> HttpResponse:
    """`?jti=` and `?keyId=`, either or both: `{"revoked": true}` when one of them opens nothing.

    Redis, where anybody may block a token, is asked first; what it lost PostgreSQL has.
    """
    if request.method != "GET":
        return problem_response(NotAllowed("a check is asked for by GET"))
    token, key = request.GET.get("jti", ""), request.GET.get("keyId", "")
    if not token and not key:
        return problem_response(Refused("name a token by jti or a key by keyId"))
    revoked = (
        _is_blocked(token, key)
        or (bool(key) and not _is_open(key))
        or (bool(token) and _was_taken_back(token))
    )
    return JsonResponse({"revoked": revoked})


def _is_blocked(token: str, key: str) -> bool:
    """Blocked in Redis; away means nobody is."""
    names = [blocked_token(token)] * bool(token) + [blocked_client(key)] * bool(key)
    try:
        return bool(valkey.client().exists(*names))
    except redis.RedisError:
        return False


def _is_open(key: str) -> bool:
    """Whether a key of this id is there and not revoked."""
    try:
        open_keys = ApiKey.objects.filter(pk=key, revoked_at__isnull=True)  # any tenant: by its id
        return open_keys.exists()
    except ValidationError:
        return False


def _was_taken_back(token: str) -> bool:
    with suppress(ValueError):
        blocked = BlockedToken.objects.filter(pk=UUID(token))  # any tenant: by its id
        return blocked.exists()
    return False
