"""Sources of pushed usage: made with a secret that is shown once, changed, removed."""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from aforo.errors import Refused
from aforo.ids import new_id
from aforo.sealing import seal, unseal
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from webhooks.inbound.mapping import InvalidPath, compiled
from webhooks.models import WebhookSource

PATHS = (
    "customer_id_path",
    "metric_key_path",
    "quantity_path",
    "timestamp_path",
    "event_id_path",
    "event_type_path",
)
EDITABLE = frozenset({
    "name", "description", "signature_header", "signature_algorithm", "metric", "event_id_header",
    "event_filter", "rate_limit", "is_active", *PATHS,
})  # fmt: skip
_PURPOSE = "webhook signing secret"
_PREFIX = "whsec_"
_SECRET_BYTES = 32
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


@transaction.atomic
def create_source(
    *, tenant: Tenant, actor: Actor, now: datetime, secret: str = "", **fields: object
) -> tuple[WebhookSource, str]:
    """A new source and its secret, drawn unless the sender dictates one; shown this once."""
    source = WebhookSource(id=new_id(), tenant=tenant, created_at=now, **fields)
    _require_sound(source)
    plaintext = secret or _drawn()
    source.sealed_secret = _sealed(source, plaintext)
    source.save(force_insert=True)
    _note(source, "WEBHOOK_SOURCE_CREATED", actor, now, before={}, after=_state(source))
    return source, plaintext


@transaction.atomic
def change_source(
    *, source: WebhookSource, edits: Mapping[str, object], actor: Actor, now: datetime
) -> WebhookSource:
    """Change some of `EDITABLE`; pushes that begin later follow it."""
    locked = _locked(source)
    before = _state(locked)
    for name in edits.keys() & EDITABLE:
        setattr(locked, name, edits[name])
    _require_sound(locked)
    after = _state(locked)
    if after != before:
        locked.save(update_fields=sorted(EDITABLE))
        _note(locked, "WEBHOOK_SOURCE_CHANGED", actor, now, before=before, after=after)
    return locked


@transaction.atomic
def rotate_secret(
    *, source: WebhookSource, actor: Actor, now: datetime, secret: str = ""
) -> tuple[WebhookSource, str]:
    """Another secret, shown this once; pushes signed with the old one are refused from now on."""
    locked = _locked(source)
    plaintext = secret or _drawn()
    locked.sealed_secret = _sealed(locked, plaintext)
    locked.save(update_fields=["sealed_secret"])
    _note(locked, "WEBHOOK_SECRET_ROTATED", actor, now, before={}, after={})
    return locked, plaintext


@transaction.atomic
def archive_source(*, source: WebhookSource, actor: Actor, now: datetime) -> WebhookSource:
    """Nothing comes in by it any more; what came stays."""
    locked = _locked(source)
    if locked.archived_at is None:
        locked.archived_at, locked.is_active = now, False
        locked.save(update_fields=["archived_at", "is_active"])
        after = {"archived_at": now}
        _note(locked, "WEBHOOK_SOURCE_ARCHIVED", actor, now, before={}, after=after)
    return locked


def secret_of(source: WebhookSource) -> bytes:
    """What its pushes are signed with; raises Unsealable after a change of SECRET_KEY."""
    return unseal(bytes(source.sealed_secret), purpose=_PURPOSE, row=str(source.pk))


def _drawn() -> str:
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def _sealed(source: WebhookSource, secret: str) -> bytes:
    return seal(secret.encode(), purpose=_PURPOSE, row=str(source.pk))


def _locked(source: WebhookSource) -> WebhookSource:
    own = WebhookSource.objects.for_tenant(source.tenant_id).select_for_update()
    found: WebhookSource = own.get(pk=source.pk)
    return found


def _require_sound(source: WebhookSource) -> None:
    """Raise Refused for a path that nothing can be found by, or a header nobody can send."""
    for name in PATHS:
        path = getattr(source, name)
        try:
            if path:
                compiled(path)
        except InvalidPath as error:
            raise _refused(name, str(error)) from None
    for name in ("signature_header", "event_id_header"):
        header = getattr(source, name)
        is_optional = name == "event_id_header"
        if not _HEADER.fullmatch(header) and (header or not is_optional):
            raise _refused(name, f"{header!r} is no name of a header")
    if not all(isinstance(kind, str) and kind for kind in source.event_filter):
        raise _refused("event_filter", "each type is a text")
    if source.rate_limit < 1:
        raise _refused("rate_limit", "at least one delivery a minute, or switch the source off")


def _refused(name: str, message: str) -> Refused:
    return Refused.naming(on_the_wire(name), "INVALID", message)


def _state(source: WebhookSource) -> dict[str, object]:
    return {name: getattr(source, name) for name in sorted(EDITABLE)}


def _note(
    source: WebhookSource,
    action: str,
    actor: Actor,
    now: datetime,
    *,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> None:
    changes = audit.differences(before, after)
    audit.record(
        tenant=source.tenant_id,
        actor=actor,
        action=action,
        target=source,
        now=now,
        changes=changes,
    )
