"""Endpoints of people who want to be told: made with a secret that is shown once, changed, tried.

`now` is everybody's: deliveries know no other clock. What is noted has the tenant's.
"""

from collections.abc import Mapping
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from aforo.errors import Conflict, Refused
from aforo.ids import new_id
from aforo.outbox import waking
from aforo.outbox.facts import facts
from aforo.outbox.models import OutboxMessage
from aforo.outbox.services import publish
from aforo.outward import NotSendable, require_sendable
from aforo.spelling import on_the_wire
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from webhooks.models import OutboundDelivery, WebhookEndpoint
from webhooks.outbound.carrying import delivery_of
from webhooks.outbound.endpoint_secrets import put_secret, replace_secret
from webhooks.outbound.routing import TEST
from webhooks.outbound.signing import new_secret

MOST_ENDPOINTS = 100  # of a tenant: a fifth of the attempts that may be under way at a time
EDITABLE = frozenset({"description", "url", "facts", "is_active"})
Format = WebhookEndpoint.Format


@transaction.atomic
def create_endpoint(
    *, tenant: Tenant, actor: Actor, now: datetime, **fields: object
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret, which is shown this once. Facts from now on go to it.

    A tenant has `MOST_ENDPOINTS`.
    """
    _require_room(tenant)
    endpoint = WebhookEndpoint(id=new_id(), tenant=tenant, created_at=now, **fields)
    _require_sound(endpoint)
    secret = new_secret()
    put_secret(endpoint, secret)
    endpoint.save(force_insert=True)
    changes = audit.differences({}, _state(endpoint))
    _note(endpoint, "WEBHOOK_ENDPOINT_CREATED", changes, actor=actor, now=now)
    return endpoint, secret


@transaction.atomic
def change_endpoint(
    *, endpoint: WebhookEndpoint, edits: Mapping[str, object], actor: Actor, now: datetime
) -> WebhookEndpoint:
    """Change some of `EDITABLE`. Switched on, its failures are forgotten.

    Switched on or at another address it gets what waits, at once.
    """
    locked = _locked(endpoint)
    before = _state(locked)
    for name in edits.keys() & EDITABLE:
        setattr(locked, name, edits[name])
    _require_sound(locked)
    after = _state(locked)
    if after != before:
        if locked.is_active and not before["is_active"]:
            _forget_failures(locked)
        if locked.is_active and (not before["is_active"] or locked.url != before["url"]):
            locked.resting_until = None
            _hurry(locked, now)
        locked.save(update_fields=[*sorted(EDITABLE), *_FAILURES])
        changes = audit.differences(before, after)
        _note(locked, "WEBHOOK_ENDPOINT_CHANGED", changes, actor=actor, now=now)
        waking.after_commit()
    return locked


@transaction.atomic
def rotate_secret(
    *, endpoint: WebhookEndpoint, actor: Actor, now: datetime
) -> tuple[WebhookEndpoint, str]:
    """Another secret, shown this once; for 24 hours messages are signed with both."""
    locked = _locked(endpoint)
    secret = new_secret()
    replace_secret(locked, secret, now=now)
    fields = ["sealed_secret", "sealed_former_secret", "former_secret_until"]
    locked.save(update_fields=fields)
    _note(locked, "WEBHOOK_ENDPOINT_SECRET_ROTATED", {}, actor=actor, now=now)
    return locked, secret


@transaction.atomic
def archive_endpoint(*, endpoint: WebhookEndpoint, actor: Actor, now: datetime) -> WebhookEndpoint:
    """Send nothing more to it; what was sent stays on the record."""
    locked = _locked(endpoint)
    if locked.archived_at is None:
        locked.archived_at, locked.is_active = now, False
        locked.save(update_fields=["archived_at", "is_active"])
        _note(locked, "WEBHOOK_ENDPOINT_ARCHIVED", {"archived_at": now}, actor=actor, now=now)
    return locked


@transaction.atomic
def test_endpoint(*, endpoint: WebhookEndpoint, now: datetime) -> OutboundDelivery:
    """Send it a message that says nothing, now; the delivery tells what became of it."""
    require_on(endpoint)
    own_rows = WebhookEndpoint.objects.for_tenant(endpoint.tenant_id)
    own_rows.filter(pk=endpoint.pk).update(resting_until=None)
    message = publish(
        tenant_id=endpoint.tenant_id,
        fact=TEST,
        payload={"endpointId": str(endpoint.pk), "message": "Aforo can reach you."},
        now=clock.at(endpoint.tenant, now),
    )
    own = OutboxMessage.objects.for_tenant(endpoint.tenant_id).filter(pk=message.pk)
    own.update(carried_at=now)
    delivery = delivery_of(message, endpoint, now)
    delivery.save(force_insert=True)
    return delivery


def require_on(endpoint: WebhookEndpoint) -> None:
    """Conflict when nothing is sent to an endpoint."""
    if not endpoint.is_active:
        raise Conflict(f"endpoint '{endpoint}' is switched off", code="ENDPOINT_DISABLED")


_FAILURES = ("disabled_at", "disabled_reason", "failing_since", "failures", "resting_until")


def _forget_failures(endpoint: WebhookEndpoint) -> None:
    endpoint.disabled_at, endpoint.disabled_reason = None, ""
    endpoint.failing_since, endpoint.failures, endpoint.resting_until = None, 0, None


def _hurry(endpoint: WebhookEndpoint, now: datetime) -> None:
    waiting = OutboundDelivery.objects.for_tenant(endpoint.tenant_id).filter(
        endpoint=endpoint, state=OutboundDelivery.State.PENDING
    )
    waiting.filter(next_attempt_at__gt=now).update(next_attempt_at=now)


def _locked(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    own = WebhookEndpoint.objects.for_tenant(endpoint.tenant_id).select_related("tenant")
    found: WebhookEndpoint = own.select_for_update(of=("self",)).get(pk=endpoint.pk)
    return found


def _require_room(tenant: Tenant) -> None:
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)  # one who counts at a time
    own = WebhookEndpoint.objects.for_tenant(tenant).filter(archived_at=None)
    if own.count() >= MOST_ENDPOINTS:
        reason = f"a tenant has at most {MOST_ENDPOINTS} webhook endpoints: remove one first"
        raise Refused(reason, code="TOO_MANY_ENDPOINTS")


def _require_sound(endpoint: WebhookEndpoint) -> None:
    """Refused for an address that nothing is sent to, or a fact that nobody tells."""
    try:
        if endpoint.format == Format.EMAIL:
            validate_email(endpoint.url)
        else:
            require_sendable(endpoint.url)
    except ValidationError:
        raise _refused("url", "is no e-mail address") from None
    except NotSendable as error:
        raise _refused("url", str(error)) from None
    unknown = [kind for kind in endpoint.facts if kind not in facts()]
    if unknown:
        raise _refused("facts", f"there is no fact {unknown[0]!r}")
    if endpoint.archived_at is not None and endpoint.is_active:
        raise Conflict(f"endpoint '{endpoint}' is archived", code="ENDPOINT_ARCHIVED")


def _refused(name: str, message: str) -> Refused:
    return Refused.naming(on_the_wire(name), "INVALID", message)


def _state(endpoint: WebhookEndpoint) -> dict[str, object]:
    return {name: getattr(endpoint, name) for name in sorted(EDITABLE | {"format"})}


def _note(
    endpoint: WebhookEndpoint,
    action: str,
    changes: Mapping[str, object],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    audit.record(
        tenant=endpoint.tenant_id,
        actor=actor,
        action=action,
        target=endpoint,
        now=clock.at(endpoint.tenant, now),
        changes=changes,
    )
