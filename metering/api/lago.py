"""Lago's event routes, with its answers and its errors."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus

import msgspec
from django.http import HttpRequest, HttpResponse

from aforo.errors import AforoError
from metering.api.compat import entered, finished, foreign_door, json_response
from metering.api.ingest import admit, bearer_token, body_of
from metering.compat import lago
from metering.compat.writing import object_in, sent_in, text_in, time_of
from metering.ingest import events as wire
from metering.ingest import known
from metering.ingest.door import Admission
from metering.ingest.events import Refusal
from metering.ingest.own_customer import answer_of
from metering.ingest.translation import Translation
from metering.selectors import meters

Members = dict[str, object]
Answer = Callable[[bytes, Admission, datetime], Members]
_FIELDS = {  # whose fault it is, in Lago's names
    "OTHER_CUSTOMER": "external_customer_id",
    "UNKNOWN_METRIC": "code",
    "INVALID_QUANTITY": "properties",
    "MISSING_FIELD": "properties",
    "INVALID_TIMESTAMP": "timestamp",
    "TIMESTAMP_IN_FUTURE": "timestamp",
    "TIMESTAMP_TOO_OLD": "timestamp",
}
_KEPT = ("precise_total_amount_cents", "properties")


def _problem(error: AforoError) -> HttpResponse:
    members: Members = {"status": error.status, "error": HTTPStatus(error.status).phrase}
    members |= {"code": error.code.lower(), "message": error.detail}
    return json_response(members, status=error.status)


@foreign_door(_problem)
def event(request: HttpRequest) -> HttpResponse:
    """Take `{"event": {...}}`."""
    return _taken(request, lago.single, _one)


@foreign_door(_problem)
def events(request: HttpRequest) -> HttpResponse:
    """Take `{"events": [...]}`; refused ones are told in `error_details`, the others count."""
    return _taken(request, lago.batch, _many)


def _taken(
    request: HttpRequest, translate: Callable[..., Translation], answer: Answer
) -> HttpResponse:
    digest, key = entered(request, bearer_token(request))
    translated = partial(
        translate,
        value_fields=meters.value_fields(key.tenant_id),
        subscribers=partial(meters.subscribers, key.tenant_id),
    )
    admission = admit(request, digest, key, translate=translated)
    members = answer(body_of(request), admission, known.clock_of(key))
    status = HTTPStatus.OK
    if admission.event_count and len(admission.refused) == admission.event_count:
        status = HTTPStatus(answer_of(admission.refused).status)
        members = {"status": status, "error": status.phrase, **members}
    return finished(json_response(members, status=status), admission)


def _one(body: bytes, admission: Admission, now: datetime) -> Members:
    if admission.refused:
        return {"code": "validation_errors", "error_details": _fault(admission.refused[0])}
    sent = sent_in(body, "event")
    return {"event": _event(sent, now) | {"lago_id": str(admission.batch_id)}}


def _many(body: bytes, admission: Admission, now: datetime) -> Members:
    raws = wire.split(sent_in(body, "events"))
    taken = [_event(raw, now) for index, raw in enumerate(raws) if index not in admission.refused]
    if not admission.refused:
        return {"events": taken}
    faults = {str(index): _fault(why) for index, why in sorted(admission.refused.items())}
    return {"events": taken, "code": "validation_errors", "error_details": faults}


def _fault(why: Refusal) -> dict[str, list[str]]:
    return {_FIELDS.get(why.code, "event"): [why.code.lower(), why.detail]}


def _event(raw: msgspec.Raw, now: datetime) -> Members:
    """The event as it was sent, in the shape that Lago would give back."""
    fields = object_in(raw) or {}
    occurred = time_of(fields.get("timestamp"))
    return {
        "lago_id": None,
        "lago_customer_id": None,
        "lago_subscription_id": None,
        "transaction_id": text_in(fields.get("transaction_id")),
        "external_customer_id": text_in(fields.get("external_customer_id")) or None,
        "external_subscription_id": text_in(fields.get("external_subscription_id")),
        "code": text_in(fields.get("code")),
        "timestamp": occurred if isinstance(occurred, str) else now.isoformat(),
        "created_at": now.isoformat(),
        **{name: fields.get(name) for name in _KEPT},
    }
