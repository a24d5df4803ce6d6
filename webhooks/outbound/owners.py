"""Telling people by e-mail that an endpoint of theirs was switched off."""

from collections.abc import Sequence
from contextlib import ExitStack
from smtplib import SMTPRecipientsRefused, SMTPResponseException
from uuid import UUID

import structlog
from django.core.mail import EmailMessage

from aforo.queue import enqueue
from aforo.tenancy.models import Member
from aforo.tenancy.roles import KEY_WRITERS
from webhooks.models import WebhookEndpoint
from webhooks.outbound.mail_server import AWAY, NoAnswer, hand_over, opened

TASK = "webhooks.tell_owners"
AGAIN_SECONDS = 30
_TITLE = "Aforo: a webhook endpoint was switched off"
_FOR_GOOD = 500  # codes from here on: the server will not take it later either
log = structlog.get_logger(__name__)

_TEXT = """\
Nothing more is sent to {url}: it is {reason}.

What waits for it is kept. When it can be reached again, switch it on in the admin, on the page of
the endpoint; what was given up meanwhile can be sent again from there.
"""


def tell_owners(*, endpoint_id: UUID, address: str = "") -> int:
    """Write to everybody who may change the endpoint and has an address; how many were told.

    An address that is refused costs nobody else the letter. Of whom the server of mail could not
    be told, each is asked for again alone. For one `address` what may heal is raised.
    """
    endpoint = WebhookEndpoint.objects.get(pk=endpoint_id)  # any tenant: our own id
    text = _TEXT.format(url=endpoint.url, reason=endpoint.disabled_reason)
    addresses = _addresses(endpoint)
    if address:
        return int(address in addresses and _tell(address, text, endpoint_id))
    told = 0
    for number, one in enumerate(addresses):
        try:
            told += _tell(one, text, endpoint_id)
        except _Unreachable:
            _ask_again(addresses[number:], endpoint_id)
            break
        except AWAY:
            _ask_again([one], endpoint_id)
    return told


class _Unreachable(OSError):
    """There is no server of mail at this moment."""


def _addresses(endpoint: WebhookEndpoint) -> list[str]:
    members = Member.objects.for_tenant(endpoint.tenant_id).filter(
        role__in=KEY_WRITERS, user__is_active=True
    )
    return sorted(set(members.exclude(user__email="").values_list("user__email", flat=True)))


def _tell(address: str, text: str, endpoint_id: UUID) -> bool:
    """Whether the server has it; False when it never will, and what may heal is raised."""
    with ExitStack() as line:
        try:
            post = opened(line)
        except AWAY as error:
            raise _Unreachable(str(error)) from error
        try:
            hand_over(EmailMessage(_TITLE, text, to=[address]), post)
        except NoAnswer:
            log.warning("owner_letter_unanswered", endpoint=str(endpoint_id))
        except (*AWAY, ValueError) as error:
            log.warning("owner_not_told", endpoint=str(endpoint_id), error=str(error))
            if not _is_for_good(error):
                raise
            return False
    return True


def _is_for_good(error: Exception) -> bool:
    """Whether it is the address, or the letter, that is refused."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= _FOR_GOOD for code, _ in error.recipients.values())
    if isinstance(error, SMTPResponseException):
        return error.smtp_code >= _FOR_GOOD
    return isinstance(error, ValueError)


def _ask_again(addresses: Sequence[str], endpoint_id: UUID) -> None:
    for address in addresses:
        enqueue(TASK, countdown=AGAIN_SECONDS, endpoint_id=str(endpoint_id), address=address)
