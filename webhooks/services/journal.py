"""Changing a source: its row under a lock, and the change in the audit log."""

from collections.abc import Mapping
from datetime import datetime

from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from webhooks.models import WebhookSource


def locked(source: WebhookSource) -> WebhookSource:
    own = WebhookSource.objects.for_tenant(source.tenant_id).select_for_update()
    found: WebhookSource = own.get(pk=source.pk)
    return found


def note(
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
