"""Telling people by e-mail that an endpoint of theirs was switched off."""

from uuid import UUID

import structlog
from django.core.mail import EmailMessage

from aforo.tenancy.models import Member
from aforo.tenancy.roles import KEY_WRITERS
from webhooks.models import WebhookEndpoint
from webhooks.outbound.letter_trips import AWAY

log = structlog.get_logger(__name__)

_TEXT = """\
Nothing more is sent to {url}: it is {reason}.

What waits for it is kept. When it can be reached again, switch it on in the admin, on the page of
the endpoint; what was given up meanwhile can be sent again from there.
"""


def tell_owners(*, endpoint_id: UUID) -> int:
    """Write to everybody who may change the endpoint and has an address; how many were told.

    An address that is refused costs nobody else the letter. When nobody at all could be told, what
    may heal is raised.
    """
    endpoint = WebhookEndpoint.objects.get(pk=endpoint_id)  # any tenant: our own id
    members = Member.objects.for_tenant(endpoint.tenant_id).filter(
        role__in=KEY_WRITERS, user__is_active=True
    )
    addresses = set(members.exclude(user__email="").values_list("user__email", flat=True))
    text = _TEXT.format(url=endpoint.url, reason=endpoint.disabled_reason)
    told, away = 0, None
    for address in sorted(addresses):
        try:
            EmailMessage("Aforo: a webhook endpoint was switched off", text, to=[address]).send()
            told += 1
        except (*AWAY, ValueError) as error:
            log.warning("owner_not_told", endpoint=str(endpoint_id), error=str(error))
            away = error if isinstance(error, AWAY) else away
    if away and not told:
        raise away
    return told
