"""The ingest routes: plain views, because a serializer per event costs 67 times its decoding."""

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus

import msgspec
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from aforo.api.hot_routes import after_answer
from aforo.api.problems import CONTENT_TYPE as PROBLEM
from aforo.api.problems import NotAllowed, problem_members, problem_response
from aforo.errors import AforoError, TooLarge, Unauthenticated, Unreadable
from aforo.tenancy.key_use import note_use
from metering.api import encodings, limits
from metering.api.translations import translate_of
from metering.ingest import compounds, door, wake
from metering.ingest.acknowledgements import Measured
from metering.ingest.door import Admission
from metering.ingest.envelopes import EVENTS, METER, NATIVE, Envelope, trace_of
from metering.ingest.events import Refusal
from metering.ingest.known import KnownKey
from metering.ingest.normalising import Cover
from metering.ingest.own_customer import answer_of
from metering.ingest.translation import Translate, untranslated
from metering.services.costs import CostAdmission

MAX_BODY = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


@csrf_exempt
def ingest(request: HttpRequest) -> HttpResponse:
    """Take one event, `{"events": [...]}` or a bare array; 202 once it cannot be lost."""
    return _served(request, NATIVE)


@csrf_exempt
def events(request: HttpRequest) -> HttpResponse:
    """The same for `event` and `customer_id`; an absent quantity is 1."""
    return _served(request, EVENTS)


@csrf_exempt
def meter(request: HttpRequest) -> HttpResponse:
    """The same for `metricKey`, `properties` and a `tenantId` that names the customer."""
    return _served(request, METER)


@csrf_exempt
def compound(request: HttpRequest) -> HttpResponse:
    """Take requests that were measured several ways: each measurement becomes an event."""
    header = request.headers.get("Idempotency-Key")
    return _served(request, NATIVE, translate=partial(compounds.split, idempotency_key=header))


def _served(
    request: HttpRequest, envelope: Envelope, *, translate: Translate | None = None
) -> HttpResponse:
    if request.method != "POST":
        return not_allowed()
    key = None
    try:
        token = bearer_token(request)
        digest, key = door.authenticate(token, tenant_header=request.headers.get("X-Tenant-Id"))
        translate = translate or translate_of(request, key)
        admission = admit(request, digest, key, translate=translate, envelope=envelope, token=token)
        response = answer(admission)
    except AforoError as error:
        response = problem_response(error)
    return response if key is None else limits.told(response, key)


def admit(
    request: HttpRequest,
    digest: bytes,
    key: KnownKey,
    *,
    translate: Translate = untranslated,
    envelope: Envelope = NATIVE,
    token: str | None = None,
) -> Admission:
    """Take what a request brings, by whichever route; when this returns, it cannot be lost."""
    with Measured(key.tenant_id):
        return _admitted(request, digest, key, translate=translate, envelope=envelope, token=token)


def _admitted(
    request: HttpRequest,
    digest: bytes,
    key: KnownKey,
    *,
    translate: Translate,
    envelope: Envelope,
    token: str | None,
) -> Admission:
    limits.require_room(key)
    headers = request.headers
    cover = Cover(
        tenant_id=key.tenant_id,
        envelope=envelope,
        token=token,
        idempotency_key=headers.get("Idempotency-Key"),
        trace_id=trace_of(headers.get("traceparent"), headers.get("x-trace-id")),
        customer_id=key.customer_id,
    )
    admission = door.receive(
        digest=digest,
        key=key,
        body=body_of(request),
        cover=cover,
        door=request.path,
        translate=translate,
    )
    limits.count(key, admission.event_count)
    if admission.event_count:
        after_answer(request, partial(wake.wake, admission.bucket))
    note_use(key.id, timezone.now())
    return admission


def not_allowed() -> HttpResponse:
    response = problem_response(NotAllowed("events are sent by POST"))
    response["Allow"] = "POST"
    return response


def bearer_token(request: HttpRequest) -> str:
    """The API key as the request brings it; older gateway policies send `X-Aforo-Key`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    own = request.headers.get("X-Aforo-Key", "").strip()
    if own and not scheme:
        return own
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send the API key as `Authorization: Bearer <key>`")
    return token.strip()


def body_of(request: HttpRequest) -> bytes:
    """The whole body, opened if it is compressed; neither may be over the limit."""
    try:
        body = request.body
    except RequestDataTooBig:
        raise TooLarge(f"the body is over {MAX_BODY} bytes") from None
    except UnreadablePostError:
        raise Unreadable("the body broke off before its end", code="BROKEN_BODY") from None
    if len(body) != int(request.META.get("CONTENT_LENGTH") or 0):
        raise Unreadable("the body broke off before its end", code="BROKEN_BODY")
    encoding = request.headers.get("Content-Encoding")
    return body if encoding is None else encodings.opened(body, encoding, limit=MAX_BODY)


def answer(admission: Admission) -> HttpResponse:
    """202 with the counts and each refused event by index; 422 when none of them may pass.

    403 when none may because all are of others than the key's own customer.

    Keys that were made for events without one are told by index.
    """
    killed, batch_id = admission.killed_sessions, str(admission.batch_id)
    return answered(admission, killed_sessions=killed, batch_id=batch_id)


def answered(
    admission: Admission | CostAdmission, *, killed_sessions: Sequence[str], batch_id: str | None
) -> HttpResponse:
    """What routes answer that tell of each refused event: the same words for usage and costs."""
    members: dict[str, object] = {
        "accepted": admission.accepted,
        "duplicates": admission.duplicates,
        "failed": len(admission.refused),
        "errors": errors_in(admission.refused),
        "killedSessionIds": killed_sessions,
        "batchId": batch_id,
    }
    if admission.made_keys:
        members["idempotencyKeys"] = {str(at): key for at, key in admission.made_keys.items()}
    status: int = HTTPStatus.ACCEPTED
    content_type = "application/json"
    if admission.event_count and admission.event_count == len(admission.refused):
        error = answer_of(admission.refused)
        members = problem_members(error) | members
        status, content_type = error.status, PROBLEM
    return HttpResponse(msgspec.json.encode(members), content_type=content_type, status=status)


def errors_in(refused: Mapping[int, Refusal]) -> list[dict[str, object]]:
    """Each refused event by its index."""
    return [
        {"index": index, "code": why.code, "error": why.detail}
        for index, why in sorted(refused.items())
    ]
