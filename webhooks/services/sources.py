"""Sources of pushed usage: made with a secret that is shown once, changed, removed."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from aforo.errors import Refused
from aforo.ids import new_id
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from webhooks.inbound.paths import InvalidPath, compiled
from webhooks.inbound.providers import PROVIDERS
from webhooks.inbound.rules import Rule
from webhooks.models import WebhookSource
from webhooks.services.journal import locked, note
from webhooks.services.mappings import columns, replace_rules, template_of
from webhooks.services.readings import rules_of
from webhooks.services.secrets import give_secret

PATHS = (
    "customer_id_path",
    "metric_key_path",
    "quantity_path",
    "timestamp_path",
    "event_id_path",
    "event_type_path",
)
PROOF = (
    "signature_header",
    "signature_algorithm",
    "signature_encoding",
    "signature_prefix",
    "requires_timestamp",
)
EDITABLE = frozenset({
    "name", "description", "public_address", "metric", "event_id_header", "event_filter",
    "rate_limit", "is_active", *PROOF, *PATHS,
})  # fmt: skip
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


@transaction.atomic
def create_source(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    secret: str = "",
    mappings: Sequence[Rule] | None = None,
    **fields: object,
) -> tuple[WebhookSource, str]:
    """A new source and its secret, drawn unless the sender dictates one; shown this once.

    It begins with the rules of its provider, unless others are given.
    """
    source = WebhookSource(id=new_id(), tenant=tenant, created_at=now, **fields)
    _sign_as_provider(source)
    _require_sound(source)
    plaintext = give_secret(source, secret)
    source.save(force_insert=True)
    replace_rules(source, template_of(source) if mappings is None else mappings)
    note(source, "WEBHOOK_SOURCE_CREATED", actor, now, before={}, after=_state(source))
    return source, plaintext


@transaction.atomic
def change_source(
    *,
    source: WebhookSource,
    edits: Mapping[str, object],
    actor: Actor,
    now: datetime,
    mappings: Sequence[Rule] | None = None,
) -> WebhookSource:
    """Change some of `EDITABLE`, and its rules if any are given; later pushes follow it."""
    own = locked(source)
    before = _state(own)
    for name in edits.keys() & EDITABLE:
        setattr(own, name, edits[name])
    _sign_as_provider(own)
    _require_sound(own)
    if mappings is not None and list(mappings) != rules_of(own):
        replace_rules(own, mappings)
    after = _state(own)
    if after != before:
        own.save(update_fields=sorted(EDITABLE))
        note(own, "WEBHOOK_SOURCE_CHANGED", actor, now, before=before, after=after)
    return own


@transaction.atomic
def archive_source(*, source: WebhookSource, actor: Actor, now: datetime) -> WebhookSource:
    """Nothing comes in by it any more; what came stays."""
    own = locked(source)
    if own.archived_at is None:
        own.archived_at, own.is_active = now, False
        own.save(update_fields=["archived_at", "is_active"])
        after = {"archived_at": now}
        note(own, "WEBHOOK_SOURCE_ARCHIVED", actor, now, before={}, after=after)
    return own


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


def _sign_as_provider(source: WebhookSource) -> None:
    """A provider signs in its own way; what a source says of it counts for custom ones alone."""
    if source.provider != WebhookSource.Provider.CUSTOM:
        source.signature_header = PROVIDERS[source.provider].signature_header


def _state(source: WebhookSource) -> dict[str, object]:
    fields = {name: getattr(source, name) for name in sorted(EDITABLE)}
    return fields | {"mappings": [_shown(rule) for rule in rules_of(source)]}


def _shown(rule: Rule) -> dict[str, object]:
    """A rule as the audit log has it: what it says, without what it leaves open."""
    return {name: value for name, value in columns(rule).items() if value not in ("", None, [], {})}
