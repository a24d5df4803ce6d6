"""Where sources push to: no key, the address and the signature say who it is."""

from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from aforo.api.problems import problem_response
from aforo.errors import AforoError
from aforo.tenancy.requests import address_of
from metering.api.ingest import body_of, errors_in, not_allowed
from webhooks.services.deliveries import receive
from webhooks.services.pushes import Push, Taken


@csrf_exempt
def webhook(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Take a push of one payload or an array; 202 once it cannot be lost.

    A payload that cannot be mapped is 202 too: it is kept as a dead letter, and no sender mends a
    mapping by sending again.
    """
    if request.method != "POST":
        return not_allowed()
    try:
        push = Push(body_of(request), request.headers, address_of(request), timezone.now())
        taken = receive(source_id=source_id, push=push)
    except AforoError as error:
        return problem_response(error)
    body = msgspec.json.encode(answer(taken))
    return HttpResponse(body, content_type="application/json", status=202)


def answer(taken: Taken) -> dict[str, Any]:
    """As the ingest routes answer, with the id under which the push is kept."""
    return {
        "accepted": taken.accepted,
        "duplicates": taken.duplicates,
        "failed": len(taken.refused),
        "errors": errors_in(taken.refused),
        "killedSessionIds": [],
        "batchId": str(taken.batch_id) if taken.batch_id else None,
        "deliveryId": str(taken.delivery_id),
    }
