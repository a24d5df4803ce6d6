"""Taking a push: proven, kept as it came, answered; a task makes events of it."""

from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID, uuid5

import structlog
from django.conf import settings

from aforo.api.rates import RATES, RateExceeded
from aforo.errors import AforoError, TooMany, Unauthenticated, Unavailable
from aforo.queue import enqueue
from webhooks.inbound import memory
from webhooks.inbound.documents import document_of
from webhooks.inbound.mapping import Headers
from webhooks.inbound.providers import PROVIDERS
from webhooks.inbound.providers.slack import CHALLENGE
from webhooks.inbound.signatures import BadSignature, Scheme, Signed, Stale
from webhooks.models import WebhookSource
from webhooks.services import known
from webhooks.services.known import KnownSource
from webhooks.services.pushes import UNSIGNED, Push, Verdict, keep, kept
from webhooks.services.secrets import secrets_of

MAPPING = "webhooks.map_delivery"
REFUSED_KEPT = 60  # a minute and source: nobody without the secret may fill our disk
REFUSED_BYTES = 8 * 1024  # of a payload that nobody signed
_READINGS = 3  # of a source that is changed while it pushes
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a push at the door; `challenge` is to be echoed to who asks for it."""

    delivery_id: UUID
    provider: str
    verdict: Verdict
    challenge: str = ""


class _Changed(Exception):
    """The source is not as it was read any more, or may not be: nothing is decided yet."""


def receive(*, source_id: UUID, push: Push) -> Received:
    """Keep what a source pushes: when this returns, it can neither be lost nor be forgotten.

    Raises NotFound (404), Unauthenticated (401), TooMany (429), or for what is signed and cannot be
    read Unreadable (400), TooLarge (413) and Refused (422). What is signed is kept, and of the rest
    enough to help its sender.
    """
    for _ in range(_READINGS):
        try:
            return _received(known.source_of(source_id), push)
        except _Changed:
            known.forget(source_id)
    raise Unavailable("the source is being changed")


def ask_for_mapping(received: Received) -> None:
    """Ask for the events of a push that was kept; one that nobody asks for is found by a sweep."""
    if received.verdict == Verdict.RECEIVED:
        enqueue(MAPPING, delivery_id=str(received.delivery_id))


def _received(source: KnownSource, push: Push) -> Received:
    row = source.row
    _require_rate(row)  # first: to find a signature wrong costs as much as to find it right
    _require_signed(source, push)
    kind, provider = push.headers.get("Content-Type", ""), PROVIDERS[row.provider]
    try:
        document, payload = document_of(
            push.body,
            content_type=kind,
            cut=provider.credentials,
            may_hold_json=not provider.needs_id,
        )
    except AforoError as error:
        _keep(source, push, Verdict.UNREADABLE, kept(push.body), detail=error.detail)
        raise
    document, said, challenge = kept(document), _said(row, push, payload), ""
    asks = row.provider == WebhookSource.Provider.SLACK and said.event_type == CHALLENGE
    if asks and isinstance(payload, dict):  # whether the address is ours
        verdict, challenge = Verdict.FILTERED, str(payload.get("challenge", ""))
    else:
        is_known = memory.is_remembered(memory.name_of(row.pk, document, said.event_id))
        verdict = Verdict.DUPLICATE if is_known else Verdict.RECEIVED
    delivery_id = _keep(source, push, verdict, document, said=said)
    return Received(delivery_id, row.provider, verdict, challenge)


def _keep(
    source: KnownSource,
    push: Push,
    verdict: Verdict,
    payload: bytes,
    *,
    said: Headers | None = None,
    detail: str = "",
) -> UUID:
    delivery_id = keep(source, push, verdict, payload, said=said, detail=detail)
    if delivery_id is None:
        raise _Changed
    if verdict not in UNSIGNED:
        RATES.add(source.row.pk, source.row.rate_limit, 1)
    return delivery_id


def _said(source: WebhookSource, push: Push, payload: object) -> Headers:
    """What the headers say of a push, and its type if it is of a single one.

    A type at a path of the source's own is looked for when the push is mapped.
    """
    provider = PROVIDERS[source.provider]
    kind = push.headers.get(provider.type_header, "") if provider.type_header else ""
    event_id = push.headers.get(source.event_id_header, "") if source.event_id_header else ""
    if isinstance(payload, dict):
        kind = provider.event_type(payload, kind)
    return Headers(event_id=event_id, event_type=kind)


def _require_signed(source: KnownSource, push: Push) -> None:
    """Raise Unauthenticated, and keep what was pushed, unless a secret signed it just now.

    Before that the source is read again: its secret may just have been given. Raises Unavailable
    when no secret of the source can be opened: it may be signed well.
    """
    flaw: BadSignature | Stale = BadSignature("the source has no secret yet")
    verify = PROVIDERS[source.row.provider].verify
    signed = _signed(source.row, push)
    secrets = secrets_of(source.row, now=push.now)
    for secret in secrets:
        try:
            verify(signed, secret)
        except Stale as error:
            flaw = error
            break
        except BadSignature as error:
            flaw = error
        else:
            return
    if not source.is_fresh:
        raise _Changed
    if source.row.sealed_secret and not secrets:
        log.error("webhook_secret_does_not_open", source=str(source.row.pk))
        raise Unavailable("the secret of this source cannot be opened: it needs another")
    _refuse(source, push, flaw)


def _signed(source: WebhookSource, push: Push) -> Signed:
    address = source.public_address or address_of(source.pk)
    return Signed(
        body=push.body,
        headers=push.headers,
        url=f"{address}?{push.query}" if push.query else address,
        now=push.now,
        scheme=scheme_of(source),
    )


def scheme_of(source: WebhookSource) -> Scheme:
    """How its pushes are signed: as its provider does, or as a custom source says itself."""
    return PROVIDERS[source.provider].scheme or Scheme(
        header=source.signature_header,
        encoding=source.signature_encoding,
        prefix=source.signature_prefix,
        requires_timestamp=source.requires_timestamp,
    )


def address_of(source_id: UUID) -> str:
    """Where a source is called from outside."""
    return f"{settings.SITE_URL.rstrip('/')}/v1/ingest/webhook/{source_id}"


def _refuse(source: KnownSource, push: Push, flaw: BadSignature | Stale) -> NoReturn:
    verdict = Verdict.STALE if isinstance(flaw, Stale) else Verdict.BAD_SIGNATURE
    log.warning("webhook_refused", source=str(source.row.pk), verdict=verdict.value)
    refused = RATES.add(uuid5(source.row.pk, "refused"), REFUSED_KEPT, 1)
    if refused is not None and refused.used <= REFUSED_KEPT:
        payload = kept(push.body[:REFUSED_BYTES])
        _keep(source, push, verdict, payload, detail=str(flaw))
    raise Unauthenticated(str(flaw), code=verdict.value)


def _require_rate(source: WebhookSource) -> None:
    """Raise TooMany when the source has used up its minute. Redis away: it has not."""
    try:
        RATES.require(source.pk, source.rate_limit)
    except RateExceeded as error:
        detail = f"this source may push {source.rate_limit} times a minute"
        raise TooMany(detail, retry_after=error.retry_after) from None
