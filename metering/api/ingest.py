"""The ingest routes: plain views, because a serializer per event costs 67 times its decoding."""

from http import HTTPStatus

import msgspec
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from aforo.api.problems import CONTENT_TYPE as PROBLEM
from aforo.api.problems import NotAllowed, problem_members, problem_response
from aforo.errors import AforoError, Refused, TooLarge, Unauthenticated, Unreadable
from aforo.tenancy.key_use import note_use
from metering.api import limits
from metering.api.translations import translate_of
from metering.ingest import door, wake
from metering.ingest.door import Admission
from metering.ingest.known import KnownKey
from metering.ingest.translation import Translate, untranslated

MAX_BODY = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


@csrf_exempt
def ingest(request: HttpRequest) -> HttpResponse:
    """Take one event, `{"events": [...]}` or a bare array; 202 once it cannot be lost."""
    if request.method != "POST":
        return not_allowed()
    try:
        digest, key = door.authenticate(
            bearer_token(request), tenant_header=request.headers.get("X-Tenant-Id")
        )
        admission = admit(request, digest, key, translate=translate_of(request, key))
    except AforoError as error:
        return problem_response(error)
    return limits.counted(answer(admission), key, admission.event_count)


def admit(
    request: HttpRequest, digest: bytes, key: KnownKey, *, translate: Translate = untranslated
) -> Admission:
    """Take what a request brings, by whichever route; when this returns, it cannot be lost."""
    limits.require_room(key)
    admission = door.receive(
        digest=digest,
        key=key,
        body=body_of(request),
        idempotency_key=request.headers.get("Idempotency-Key"),
        source="API",
        door=request.path,
        translate=translate,
    )
    if admission.event_count:
        wake.wake(admission.bucket)
    note_use(key.id, timezone.now())
    return admission


def not_allowed() -> HttpResponse:
    response = problem_response(NotAllowed("events are sent by POST"))
    response["Allow"] = "POST"
    return response


def bearer_token(request: HttpRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send the API key as `Authorization: Bearer <key>`")
    return token.strip()


def body_of(request: HttpRequest) -> bytes:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Unreadable("this Content-Encoding is not understood", code="UNKNOWN_ENCODING")
    try:
        body = request.body
    except RequestDataTooBig:
        raise TooLarge(f"the body is over {MAX_BODY} bytes") from None
    except UnreadablePostError:
        raise Unreadable("the body broke off before its end", code="BROKEN_BODY") from None
    if len(body) != int(request.META.get("CONTENT_LENGTH") or 0):
        raise Unreadable("the body broke off before its end", code="BROKEN_BODY")
    return body


def answer(admission: Admission) -> HttpResponse:
    """202 with the counts and each refused event by index; 422 when none of them may pass.

    Keys that were made for events without one are told by index.
    """
    members: dict[str, object] = {
        "accepted": admission.accepted,
        "duplicates": admission.duplicates,
        "failed": len(admission.refused),
        "errors": [
            {"index": index, "code": why.code, "error": why.detail}
            for index, why in sorted(admission.refused.items())
        ],
        "killedSessionIds": admission.killed_sessions,
        "batchId": str(admission.batch_id),
    }
    if admission.made_keys:
        members["idempotencyKeys"] = {str(at): key for at, key in admission.made_keys.items()}
    status = HTTPStatus.ACCEPTED
    content_type = "application/json"
    if admission.event_count and admission.event_count == len(admission.refused):
        first = admission.refused[0]
        members = problem_members(Refused(first.detail, code=first.code)) | members
        status, content_type = HTTPStatus.UNPROCESSABLE_ENTITY, PROBLEM
    return HttpResponse(msgspec.json.encode(members), content_type=content_type, status=status)
