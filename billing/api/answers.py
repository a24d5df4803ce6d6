"""Answers that are files: which kind is asked for, and who may have it."""

from collections.abc import Collection
from typing import Any

from rest_framework.request import Request

from aforo.api.views import TenantAPIView
from aforo.errors import Forbidden, Unreadable
from aforo.tenancy.roles import EXPORTERS

JSON = "json"
_ACCEPTED = {
    "text/csv": "csv",
    "application/zip": "zip",
    "application/vnd.apache.parquet": "parquet",
}


class FileView(TenantAPIView):
    """What is asked for is said by `?format=` or by the first of `Accept` that is known here."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)


class ExportView(FileView):
    """A file that takes much with it: only for those who answer for the tenant's money."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.actor.role not in EXPORTERS:
            raise Forbidden(f"role {self.actor.role} may not export")


def asked_format(request: Request, known: Collection[str], *, default: str) -> str:
    """One of `known`; raises Unreadable for a format that is none of them."""
    asked = request.query_params.get("format")
    if asked is None:
        return _accepted(request.headers.get("Accept", ""), known) or default
    if asked not in known:
        reason = f"must be one of {', '.join(known)}"
        raise Unreadable.naming("format", "INVALID", reason)
    return asked


def _accepted(accept: str, known: Collection[str]) -> str | None:
    for one in accept.split(","):
        name = _ACCEPTED.get(one.split(";")[0].strip().lower())
        if name in known:
            return name
    return None
