"""Routes that ask for no key: gateways on the same network call them, nobody else may see them.

They answer on a process that was started as the internal listener, to addresses in
`AFORO_INTERNAL_NETWORKS`, and to whoever brings a gateway token. To everybody else they are not
there.
"""

import hmac
from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from aforo.api.problems import problem_response
from aforo.errors import NotFound
from aforo.tenancy.requests import address_of

TOKEN_HEADER = "X-Aforo-Gateway-Token"  # noqa: S105 - the name of a header
_PROXIED = ("X-Forwarded-For", "Forwarded")

View = Callable[[HttpRequest], HttpResponse]


def is_internal(request: HttpRequest) -> bool:
    """Whether `request` came by a way that the public has not."""
    return (
        settings.INTERNAL_LISTENER
        or _brings_a_token(request.headers.get(TOKEN_HEADER, ""))
        or _comes_from_inside(request)
    )


def internal_only(view: View) -> View:
    """The same view, absent (404) for the public."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not is_internal(request):
            return problem_response(NotFound(f"there is nothing at {request.path}"))
        return view(request)

    return guarded


def _brings_a_token(given: str) -> bool:
    tokens = settings.GATEWAY_TOKENS
    return any(hmac.compare_digest(given.encode(), token.encode()) for token in tokens)


def _comes_from_inside(request: HttpRequest) -> bool:
    """By address; what a proxy that we do not know of passed on may have come from anywhere."""
    if not settings.INTERNAL_NETWORKS:
        return False
    if not settings.TRUSTED_PROXIES and any(name in request.headers for name in _PROXIED):
        return False
    address = address_of(request)
    return address is not None and any(
        ip_address(address) in network for network in settings.INTERNAL_NETWORKS
    )
