"""Who is asking: what an HTTP request tells the audit log."""

from ipaddress import ip_address

import structlog
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def request_id() -> str:
    """The id of the request or task at hand, as its log lines carry it; "" outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def address_of(request: HttpRequest | Request) -> str | None:
    """The client's address; None when it came through a socket file or is not readable.

    A header anybody can write is believed only as far as our own proxies wrote it:
    `TRUSTED_PROXIES` of them stand before us.
    """
    text = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        hops = request.headers.get("X-Forwarded-For", "").split(",")
        text = hops[-min(settings.TRUSTED_PROXIES, len(hops))]
    try:
        return str(ip_address(text.strip())).partition("%")[0]  # fe80::1%2: by which network
    except ValueError:
        return None
