"""Who may listen: whoever has a key of the tenant, or a ticket that somebody who may was given.

A browser's EventSource sends no headers, so a page gets a ticket and puts it into the address. It
opens a stream for a minute, and only while its key, or its person's membership, still holds.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.db.models import Q

from aforo.api.authentication import bearer_of, require_agreement
from aforo.errors import Forbidden, Unauthenticated
from aforo.tenancy.models import ApiKey, Member
from aforo.tenancy.selectors import open_key
from catalog.selectors.key_customers import customer_of_key

PATH = "/api/v1/events/stream"
TICKET_SECONDS = 60
_SALT = "aforo.stream"
_CUSTOMER = "subscription__subscription__customer__external_id"


@dataclass(frozen=True, slots=True)
class Access:
    """The tenant that is listened to, by which key or which person.

    `names` are those of the customer whose subscription the key was given out for, external id
    first: it hears of events under these alone. None: of everybody's.
    """

    tenant_id: UUID
    key_id: UUID | None = None
    user_id: int | None = None
    names: tuple[str, ...] = ()

    def require_own(self, name: str) -> None:
        """Raise Forbidden when a key of one customer would listen to another."""
        if self.names and name and name not in self.names:
            raise Forbidden("this key was given out for one customer, and asks about another")


def address() -> str:
    """Where streams are: their own address, else the path behind the proxy of the web process."""
    url: str = settings.STREAM_URL or settings.SITE_URL.rstrip("/") + PATH
    return url


def ticket_for(access: Access) -> str:
    """A signed text that opens a stream for a minute."""
    key_id = access.key_id and str(access.key_id)
    said = [str(access.tenant_id), key_id, access.user_id, access.names]
    return signing.dumps(said, salt=_SALT)


def by_ticket(ticket: str) -> Access:
    """The access that a ticket was made for; raises Unauthenticated."""
    try:
        tenant_id, key_id, user_id, names = signing.loads(
            ticket, salt=_SALT, max_age=TICKET_SECONDS
        )
    except (signing.BadSignature, ValueError):
        raise Unauthenticated("this ticket is none of ours, or over a minute old") from None
    access = Access(UUID(tenant_id), UUID(key_id) if key_id else None, user_id, tuple(names))
    if access not in still_open([access]):
        raise Unauthenticated("whoever got this ticket may not listen any more")
    return access


def by_key(authorization: bytes, tenant_header: str | None) -> Access:
    """The access of an `Authorization` header; raises Unauthenticated or Forbidden."""
    key = open_key(bearer_of(authorization))
    if key is None:
        raise Unauthenticated("no such key, or one that was revoked")
    require_agreement(tenant_header, tenant_id=key.tenant_id, slug=key.tenant.slug)
    return of_key(key)


def of_key(key: ApiKey) -> Access:
    """What an open key may listen to."""
    customer = customer_of_key(key.pk)
    names = (customer.external_id, str(customer.pk)) if customer else ()
    return Access(key.tenant_id, key_id=key.pk, names=names)


def still_open(accesses: Collection[Access]) -> set[Access]:
    """Those that still hold: two statements, however many are asked about.

    That of a customer's key ends when the customer is called by another name.
    """
    key_ids = {access.key_id for access in accesses if access.key_id}
    user_ids = {access.user_id for access in accesses if access.user_id}
    keys = ApiKey.objects.filter(pk__in=key_ids, revoked_at__isnull=True)  # any tenant: by id
    open_keys = dict(keys.values_list("pk", _CUSTOMER)) if key_ids else {}
    allowed = _allowed(user_ids) if user_ids else set()
    return {
        access
        for access in accesses
        if (access.key_id in open_keys and open_keys[access.key_id] == _name_in(access))
        or (access.user_id, access.tenant_id) in allowed
        or (access.user_id, None) in allowed
    }


def _name_in(access: Access) -> str | None:
    return access.names[0] if access.names else None


def _allowed(user_ids: Collection[int]) -> set[tuple[Any, UUID | None]]:
    """People and the tenants they are members of; None stands for all of them."""
    users = get_user_model()._default_manager  # noqa: SLF001  Django's public name for it
    superusers = users.filter(pk__in=user_ids, is_active=True, is_superuser=True)
    members = Member.objects.filter(  # any tenant: a person may serve several
        Q(user_id__in=user_ids), user__is_active=True
    )
    return {(pk, None) for pk in superusers.values_list("pk", flat=True)} | set(
        members.values_list("user_id", "tenant_id")
    )
