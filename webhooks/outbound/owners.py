"""Telling people by e-mail that an endpoint of theirs was switched off."""

from uuid import UUID

from django.core.mail import EmailMessage

from aforo.tenancy.models import Member
from aforo.tenancy.roles import KEY_WRITERS
from webhooks.models import WebhookEndpoint

_TEXT = """\
Nothing more is sent to {url}: it is {reason}.

What waits for it is kept. When it can be reached again, switch it on in the admin, on the page of
the endpoint; what was given up meanwhile can be sent again from there.
"""


def tell_owners(*, endpoint_id: UUID) -> int:
    """Write to everybody who may change the endpoint and has an address; how many that are."""
    endpoint = WebhookEndpoint.objects.get(pk=endpoint_id)  # any tenant: our own id
    members = Member.objects.for_tenant(endpoint.tenant_id).filter(
        role__in=KEY_WRITERS, user__is_active=True
    )
    addresses = set(members.exclude(user__email="").values_list("user__email", flat=True))
    text = _TEXT.format(url=endpoint.url, reason=endpoint.disabled_reason)
    for address in sorted(addresses):
        EmailMessage("Aforo: a webhook endpoint was switched off", text, to=[address]).send()
    return len(addresses)
