"""Operator keys: the key decides the tenant, always."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from aforo.errors import Forbidden, Unauthenticated
from aforo.tenancy.key_entries import is_called
from aforo.tenancy.key_use import note_use
from aforo.tenancy.models import ApiKey
from aforo.tenancy.plaintext import OPERATOR
from aforo.tenancy.selectors import open_key, open_operator_key


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whoever holds an operator key: what DRF calls the user."""

    pk: UUID
    role: str
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False


class OperatorKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer afo_...`, looked up each time: a revoked key is refused at once."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, ApiKey]:
        key = self.find(self.plaintext_of(request))
        if key is None:
            raise Unauthenticated("no such key, or one that was revoked")
        tenant = key.tenant
        require_agreement(request.headers.get("X-Tenant-Id"), tenant_id=tenant.pk, slug=tenant.slug)
        note_use(key.pk, timezone.now())
        structlog.contextvars.bind_contextvars(tenant=tenant.slug)
        return KeyHolder(key.pk, key.role), key

    def plaintext_of(self, request: Request) -> str:
        return bearer_of(get_authorization_header(request))

    def find(self, plaintext: str) -> ApiKey | None:
        if not plaintext.startswith(OPERATOR):
            raise Unauthenticated("this API opens to operator keys (afo_...) only")
        return open_operator_key(plaintext)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class AnyKeyAuthentication(OperatorKeyAuthentication):
    """Any key of the tenant: for what senders of usage may ask as well as operators."""

    def plaintext_of(self, request: Request) -> str:
        """Older gateway policies send `X-Aforo-Key`, and no `Authorization`."""
        own = request.headers.get("X-Aforo-Key", "").strip()
        if own and "Authorization" not in request.headers:
            return own
        return super().plaintext_of(request)

    def find(self, plaintext: str) -> ApiKey | None:
        return open_key(plaintext)


def bearer_of(header: bytes) -> str:
    """The key in an `Authorization` header; raises `Unauthenticated` when there is none."""
    scheme, _, credentials = header.decode(errors="replace").strip().partition(" ")
    if scheme.lower() != "bearer" or not credentials.strip():
        raise Unauthenticated("send the key as 'Authorization: Bearer <key>'")
    return credentials.strip()


def require_agreement(header: str | None, *, tenant_id: UUID, slug: str) -> None:
    """Refuse an `X-Tenant-Id` that names another tenant than the key's; none at all is fine."""
    if header is not None and not is_called(header, tenant_id=tenant_id, slug=slug):
        raise Forbidden("X-Tenant-Id names another tenant than the key")
