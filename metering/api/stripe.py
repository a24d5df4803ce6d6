"""Stripe's meter events: v1 by form, v2 by JSON, and v2's stream with its sessions."""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from aforo.errors import AforoError, Unauthenticated
from aforo.ids import new_id
from metering.api.compat import (
    entered,
    finished,
    foreign_door,
    json_response,
    require_any_accepted,
)
from metering.api.ingest import admit, bearer_token, body_of
from metering.api.stripe_sessions import digest_in, token_of
from metering.compat import stripe
from metering.compat.writing import fields_of_body, text_in, time_of
from metering.ingest import known
from metering.ingest.door import Admission
from metering.ingest.known import KnownKey
from metering.ingest.translation import Translation
from metering.selectors import meters

Translator = Callable[..., Translation]


def _problem(error: AforoError) -> HttpResponse:
    is_ours = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    is_rate = error.status == HTTPStatus.TOO_MANY_REQUESTS
    told = {
        "type": "api_error" if is_ours else "invalid_request_error",
        "code": "rate_limit" if is_rate else error.code.lower(),
        "message": error.detail,
    }
    # Stripe has no 422: its clients would not know what that is about.
    is_refused = error.status == HTTPStatus.UNPROCESSABLE_ENTITY
    status = HTTPStatus.BAD_REQUEST if is_refused else error.status
    return json_response({"error": told}, status=status)


@foreign_door(_problem)
def meter_event(request: HttpRequest) -> HttpResponse:
    """v1: take one event, form encoded."""
    key, admission = _taken(request, stripe.form)
    now = known.clock_of(key)
    told = _told(stripe.form_in(body_of(request)), key, admission, now)
    told |= {
        "object": "billing.meter_event",
        "created": int(now.timestamp()),
        "timestamp": _seconds(str(told["timestamp"]), now),
    }
    return finished(json_response(told), admission)


@foreign_door(_problem)
def meter_event_v2(request: HttpRequest) -> HttpResponse:
    """v2: take one event as JSON."""
    key, admission = _taken(request, stripe.single)
    now = known.clock_of(key)
    told = _told(body_of(request), key, admission, now)
    told |= {"object": "v2.billing.meter_event", "created": now.isoformat()}
    return finished(json_response(told), admission)


@foreign_door(_problem)
def meter_event_session(request: HttpRequest) -> HttpResponse:
    """v2: open a session of the stream."""
    digest, key = entered(request, _credentials(request))
    if not known.is_open(digest):
        raise Unauthenticated("this API key has been revoked")
    now = timezone.now()
    token, expires_at = token_of(digest, now=now)
    told = {
        "object": "v2.billing.meter_event_session",
        "id": f"mes_{new_id().hex}",
        "authentication_token": token,
        "created": now.isoformat(),
        "expires_at": expires_at.isoformat(),
        "livemode": not key.is_sandbox,
    }
    return json_response(told)


@foreign_door(_problem)
def meter_event_stream(request: HttpRequest) -> HttpResponse:
    """v2: take `{"events": [...]}` under the token of a session."""
    digest = digest_in(bearer_token(request), now=timezone.now())
    key = known.key_of(digest)
    if key is None:
        raise Unauthenticated("the key of this session has been revoked")
    translate = partial(stripe.stream, value_fields=meters.value_fields(key.tenant_id))
    admission = admit(request, digest, key, translate=translate)
    require_any_accepted(admission)
    return finished(json_response({}), admission)


def _taken(request: HttpRequest, translate: Translator) -> tuple[KnownKey, Admission]:
    digest, key = entered(request, _credentials(request))
    value_fields = meters.value_fields(key.tenant_id)
    admission = admit(request, digest, key, translate=partial(translate, value_fields=value_fields))
    require_any_accepted(admission)
    return key, admission


def _credentials(request: HttpRequest) -> str:
    """The key: `Bearer`, or the user of `Basic` as in `curl -u sk_live_...:`."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return bearer_token(request)
    try:
        user, _, _ = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated("the credentials cannot be read") from None
    return user


def _told(body: bytes, key: KnownKey, admission: Admission, now: datetime) -> dict[str, object]:
    """What both versions give back of an event that was taken."""
    fields = fields_of_body(body)
    occurred = time_of(fields.get("timestamp"))
    return {
        "event_name": text_in(fields.get("event_name")),
        "identifier": text_in(fields.get("identifier")) or admission.made_keys.get(0),
        "livemode": not key.is_sandbox,
        "payload": fields.get("payload"),
        "timestamp": occurred if isinstance(occurred, str) else now.isoformat(),
    }


def _seconds(moment: str, now: datetime) -> int:
    """Seconds since 1970, as v1 tells times."""
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except ValueError:  # a spelling that only the door can read
        return int(now.timestamp())
