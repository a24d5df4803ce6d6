"""What became of attempts: the log, when to try again, and endpoints that are given up."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Model

from aforo.outbox.services import publish
from aforo.queue import enqueue
from aforo.tenancy import clock
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from webhooks.models import DeliveryAttempt, OutboundDelivery, WebhookEndpoint
from webhooks.outbound.faults import LOST
from webhooks.outbound.routing import DISABLED
from webhooks.outbound.schedule import (
    HOUR,
    PAUSES,
    asked_for,
    is_hopeless,
    next_attempt,
    rest_after,
)
from webhooks.outbound.sending import GONE, Outcome

State = OutboundDelivery.State
CARRIER = Actor.system("webhooks.carry")
log = structlog.get_logger(__name__)


def record(outcomes: Sequence[Outcome], *, now: datetime) -> None:
    """Write down attempts, in a constant number of statements but for endpoints that fail.

    One that cannot be written down is logged and tried again an hour later: no answer of one
    endpoint keeps those of others from being written down. What was put off was no attempt.
    """
    put_off = [one for one in outcomes if one.is_put_off]
    for reason in {one.error for one in put_off}:
        alike = [one for one in put_off if one.error == reason]
        _put_off(alike, now, until=now + PAUSES[0], last_error=reason)
    tried = [one for one in outcomes if not one.is_put_off]
    try:
        _record(tried, now)
    except LOST:
        raise
    except Exception:
        log.exception("attempts_not_recorded", attempts=len(tried))
        for one in tried:
            _record_alone(one, now)


def _record_alone(outcome: Outcome, now: datetime) -> None:
    try:
        _record([outcome], now)
    except LOST:
        raise
    except Exception as error:
        log.exception("attempt_not_recorded", delivery=str(outcome.claim.delivery_id))
        reason = f"what became of it could not be written down: {type(error).__name__}"
        _put_off([outcome], now, until=now + HOUR, last_error=reason)


@transaction.atomic
def _put_off(
    outcomes: Sequence[Outcome], now: datetime, *, until: datetime, last_error: str
) -> None:
    """As if it had not been tried, but not before `until`."""
    endpoints = _locked([one.claim.endpoint_id for one in outcomes])
    owned = [one.claim for one in outcomes if _is_ours(one, endpoints)]
    rows = OutboundDelivery.objects.filter(  # any tenant: we claimed them
        pk__in=[one.delivery_id for one in owned], state=State.PENDING
    )
    rows.update(next_attempt_at=until, last_error=last_error)
    free = WebhookEndpoint.objects.filter(  # any tenant: likewise
        pk__in=[one.endpoint_id for one in owned]
    )
    free.update(claim_id=None, claimed_until=now)


@transaction.atomic
def _record(outcomes: Sequence[Outcome], now: datetime) -> None:
    endpoints = _locked([one.claim.endpoint_id for one in outcomes])
    DeliveryAttempt.objects.bulk_create(_attempt(one) for one in outcomes)
    owned = [one for one in outcomes if _is_ours(one, endpoints)]
    deliveries = {one.claim.delivery_id: one for one in owned}
    rows = OutboundDelivery.objects.filter(pk__in=deliveries)  # any tenant: we claimed them
    locked = rows.order_by("pk").select_for_update()
    changed = [_tried(row, deliveries[row.pk], now) for row in locked]
    _write(_SAVE, _SAVED, changed)
    for outcome in owned:
        _settle(endpoints[outcome.claim.endpoint_id], outcome, now)
    settled = [endpoints[one.claim.endpoint_id] for one in owned]
    _write(_KEEP, _KEPT, settled)
    failed = [row for row in changed if row.state == State.PENDING and row.subject]
    _write(_HOLD_BACK, ("endpoint_id", "subject", "next_attempt_at"), failed)
    again = [row for row in changed if row.finished_at and row.subject and row.attempt_count > 1]
    _write(_LET_GO, ("endpoint_id", "subject", "finished_at"), again)


_SAVED = (
    "id",
    "state",
    "attempt_count",
    "retry_step",
    "next_attempt_at",
    "last_status",
    "last_error",
    "finished_at",
)
_SAVE = """
    UPDATE outbound_deliveries d
    SET state = tried.state, attempt_count = tried.attempt_count, retry_step = tried.retry_step,
        next_attempt_at = tried.next_attempt_at, last_status = tried.last_status,
        last_error = tried.last_error, finished_at = tried.finished_at
    FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::int[], %s::timestamptz[], %s::int[],
                %s::text[], %s::timestamptz[])
         AS tried (id, state, attempt_count, retry_step, next_attempt_at, last_status, last_error,
                   finished_at)
    WHERE d.id = tried.id
"""
_KEPT = (
    "id",
    "failing_since",
    "failures",
    "resting_until",
    "claimed_until",
    "is_active",
    "disabled_at",
    "disabled_reason",
)
_KEEP = """
    UPDATE webhook_endpoints e
    SET claim_id = NULL, failing_since = told.failing_since, failures = told.failures,
        resting_until = told.resting_until, claimed_until = told.claimed_until,
        is_active = told.is_active, disabled_at = told.disabled_at,
        disabled_reason = told.disabled_reason
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::int[], %s::timestamptz[], %s::timestamptz[],
                %s::boolean[], %s::timestamptz[], %s::text[])
         AS told (id, failing_since, failures, resting_until, claimed_until, is_active,
                  disabled_at, disabled_reason)
    WHERE e.id = told.id
"""
# What comes later for the same subject waits as long as what failed: it may not go before anyway,
# and would be looked at in vain.
_HOLD_BACK = """
    UPDATE outbound_deliveries later SET next_attempt_at = failed.at
    FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS failed (endpoint_id, subject, at)
    WHERE later.endpoint_id = failed.endpoint_id AND later.subject = failed.subject
      AND later.state = 'PENDING' AND later.next_attempt_at < failed.at
"""
# What was held back only for what is over now, which may be sooner than it was to be.
_LET_GO = """
    UPDATE outbound_deliveries later SET next_attempt_at = over.at
    FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS over (endpoint_id, subject, at)
    WHERE later.endpoint_id = over.endpoint_id AND later.subject = over.subject
      AND later.state = 'PENDING' AND later.retry_step = 0 AND later.next_attempt_at > over.at
"""


def _attempt(outcome: Outcome) -> DeliveryAttempt:
    claim = outcome.claim
    return DeliveryAttempt(
        tenant_id=claim.tenant_id,
        delivery_id=claim.delivery_id,
        number=claim.number,
        started_at=outcome.started_at,
        milliseconds=outcome.milliseconds,
        url=claim.url,
        request_headers=outcome.headers,
        request_body=claim.body.decode(),
        status=outcome.status,
        answer=outcome.answer,
        error=outcome.error,
    )


def _locked(ids: Sequence[UUID]) -> dict[UUID, WebhookEndpoint]:
    """Endpoints come before deliveries, and in order: whoever sends again locks them so, too."""
    rows = WebhookEndpoint.objects.filter(pk__in=ids)  # any tenant: we claimed them
    locked = rows.select_related("tenant").order_by("pk").select_for_update(of=("self",))
    return {row.pk: row for row in locked}


def _is_ours(outcome: Outcome, endpoints: dict[UUID, WebhookEndpoint]) -> bool:
    """Whether the claim still holds; else somebody claimed anew, and what they find counts."""
    endpoint = endpoints.get(outcome.claim.endpoint_id)
    return endpoint is not None and endpoint.claim_id == outcome.claim.claim_id


def _tried(delivery: OutboundDelivery, outcome: Outcome, now: datetime) -> OutboundDelivery:
    delivery.attempt_count += 1
    delivery.last_status = outcome.status
    delivery.last_error = "" if outcome.is_taken else outcome.reason
    asked = asked_for(outcome.status, outcome.retry_after, now=now)
    again = next_attempt(delivery.retry_step, now=now, asked=asked)
    if outcome.is_taken:
        delivery.state, delivery.finished_at = State.DELIVERED.value, now
    elif again is None:
        delivery.state, delivery.finished_at = State.FAILED.value, now
    else:
        delivery.retry_step += 1
        delivery.next_attempt_at = again
    return delivery


def _settle(endpoint: WebhookEndpoint, outcome: Outcome, now: datetime) -> None:
    endpoint.claim_id, endpoint.claimed_until = None, now
    if outcome.is_taken:
        endpoint.failing_since, endpoint.failures, endpoint.resting_until = None, 0, None
        return
    endpoint.failures += 1
    endpoint.failing_since = endpoint.failing_since or now
    asked = asked_for(outcome.status, outcome.retry_after, now=now)
    endpoint.resting_until = rest_after(endpoint.failures, now=now, asked=asked)
    is_gone = outcome.status == GONE
    if endpoint.is_active and (is_gone or is_hopeless(endpoint.failing_since, now=now)):
        _disable(endpoint, outcome.reason, now)


def _disable(endpoint: WebhookEndpoint, error: str, now: datetime) -> None:
    """Send it nothing more, and tell those who can mend it."""
    since = endpoint.failing_since or now
    endpoint.is_active, endpoint.disabled_at = False, now
    endpoint.disabled_reason = f"failing since {since:%Y-%m-%d %H:%M} UTC: {error}"[:400]
    at = clock.at(endpoint.tenant, now)
    publish(
        tenant_id=endpoint.tenant_id,
        fact=DISABLED,
        subject=endpoint.pk,
        payload={
            "endpointId": str(endpoint.pk),
            "url": endpoint.url,
            "failingSince": since.isoformat(),
            "lastError": error,
        },
        now=at,
    )
    audit.record(
        tenant=endpoint.tenant_id,
        actor=CARRIER,
        action="WEBHOOK_ENDPOINT_DISABLED",
        target=endpoint,
        now=at,
        changes={"reason": endpoint.disabled_reason},
    )
    enqueue("webhooks.tell_owners", endpoint_id=str(endpoint.pk))


def _write(statement: str, columns: Sequence[str], rows: Sequence[Model]) -> None:
    """Write all rows at once: many times cheaper than `bulk_update`, for each message sent."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, [[getattr(row, name) for row in rows] for name in columns])
