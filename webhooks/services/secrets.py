"""Secrets of sources: sealed at rest, two of them valid while a sender changes over."""

import secrets
from datetime import datetime, timedelta

from django.db import transaction

from aforo.errors import Refused
from aforo.sealing import Unsealable, resealed, seal, unseal
from aforo.tenancy.services.actors import Actor
from webhooks.inbound.providers import PROVIDERS
from webhooks.models import WebhookSource
from webhooks.services.journal import locked, note

OLD_STAYS = timedelta(hours=24)  # unless somebody says otherwise
LONGEST_STAY = timedelta(days=30)
_PURPOSE = "webhook signing secret"
_PREFIX = "whsec_"
SHORTEST = 16  # characters
_SECRET_BYTES = 32


def secrets_of(source: WebhookSource, *, now: datetime) -> list[bytes]:
    """What pushes may be signed with just now, on everybody's clock.

    What was sealed under a key that is gone is left out: another secret helps.
    """
    sealed = [source.sealed_secret] if source.sealed_secret else []
    if source.sealed_old_secret and source.old_secret_until and now < source.old_secret_until:
        sealed.append(source.sealed_old_secret)
    opened = (_opened(source, bytes(one)) for one in sealed)
    return [one for one in opened if one is not None]


def _opened(source: WebhookSource, sealed: bytes) -> bytes | None:
    try:
        return unseal(sealed, purpose=_PURPOSE, row=str(source.pk))
    except Unsealable:
        return None


def give_secret(source: WebhookSource, secret: str) -> str:
    """Put a secret on a source that is not stored yet: the one dictated, or a drawn one.

    A provider that draws the secrets itself tells it only once it knows our address, so its
    source may begin without: "".
    """
    if not secret and PROVIDERS[source.provider].dictates_secret:
        source.sealed_secret = b""
        return ""
    plaintext = secret or _drawn()
    source.sealed_secret = _sealed(source, plaintext)
    return plaintext


@transaction.atomic
def rotate_secret(
    *,
    source: WebhookSource,
    actor: Actor,
    now: datetime,
    secret: str = "",
    old_until: datetime | None = None,
) -> tuple[WebhookSource, str]:
    """Another secret, shown this once; pushes signed with the one before pass until `old_until`.

    That is on everybody's clock, as pushes are; without it the old secret is void at once.
    """
    own = locked(source)
    if not secret and PROVIDERS[own.provider].dictates_secret:
        raise Refused.naming("secret", "MISSING", f"{own.get_provider_display()} draws the secret")
    plaintext = secret or _drawn()
    keeps = bool(own.sealed_secret) and old_until is not None
    own.sealed_old_secret = own.sealed_secret if keeps else None
    own.old_secret_until = old_until if keeps else None
    own.sealed_secret = _sealed(own, plaintext)
    own.save(update_fields=["sealed_secret", "sealed_old_secret", "old_secret_until"])
    after = {"old_secret_until": own.old_secret_until}
    note(own, "WEBHOOK_SECRET_ROTATED", actor, now, before={}, after=after)
    return own, plaintext


def reseal_all() -> int:
    """Seal every secret with the key that seals now; how many sources were sealed with another."""
    count = 0
    sources = WebhookSource.objects.order_by("pk")  # any tenant: sealing keys are everybody's
    for source in sources.only("pk", "tenant_id"):
        with transaction.atomic():
            count += _resealed(locked(source))
    return count


def _resealed(source: WebhookSource) -> bool:
    fresh = {}
    for name in ("sealed_secret", "sealed_old_secret"):
        sealed = getattr(source, name)
        try:
            again = sealed and resealed(bytes(sealed), purpose=_PURPOSE, row=str(source.pk))
        except Unsealable:
            continue  # its pushes say so; the others are sealed anew
        if again:
            fresh[name] = again
    for name, again in fresh.items():
        setattr(source, name, again)
    if fresh:
        source.save(update_fields=list(fresh))
    return bool(fresh)


def _drawn() -> str:
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def _sealed(source: WebhookSource, secret: str) -> bytes:
    """The secret for the database; raises Refused for one that the provider cannot have drawn."""
    if len(secret.strip()) < SHORTEST:
        raise Refused.naming("secret", "INVALID", f"a secret has {SHORTEST} characters at least")
    try:
        PROVIDERS[source.provider].check_secret(secret.strip())
    except ValueError as error:
        raise Refused.naming("secret", "INVALID", str(error)) from None
    return seal(secret.strip().encode(), purpose=_PURPOSE, row=str(source.pk))
