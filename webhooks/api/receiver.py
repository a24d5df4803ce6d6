"""Where sources push to: no key, the address and the signature say who it is."""

from functools import partial
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from aforo.api.hot_routes import after_answer
from aforo.api.problems import problem_response
from aforo.errors import AforoError
from aforo.tenancy.requests import address_of
from metering.api.ingest import body_of, not_allowed
from webhooks.models import WebhookSource
from webhooks.services.deliveries import Received, ask_for_mapping, receive
from webhooks.services.pushes import Push


@csrf_exempt
def webhook(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Take a push; 202 once it cannot be lost.

    What becomes of it is found out afterwards: no sender mends a mapping by sending again.
    """
    if request.method != "POST":
        return not_allowed()
    try:
        push = Push(
            body=body_of(request),
            headers=request.headers,
            address=address_of(request),
            now=timezone.now(),
            query=request.META.get("QUERY_STRING", ""),
        )
        received = receive(source_id=source_id, push=push)
    except AforoError as error:
        return problem_response(error)
    after_answer(request, partial(ask_for_mapping, received))
    return answer(received)


def answer(received: Received) -> HttpResponse:
    """What the provider expects of who has taken its push: 2xx, in its own way."""
    if received.challenge:
        body = msgspec.json.encode({"challenge": received.challenge})
        return HttpResponse(body, content_type="application/json", status=200)
    if received.provider == WebhookSource.Provider.TWILIO:  # anything else it logs as an error
        return HttpResponse("<Response/>", content_type="text/xml", status=200)
    body = msgspec.json.encode(
        {"deliveryId": str(received.delivery_id), "verdict": received.verdict.value}
    )
    return HttpResponse(body, content_type="application/json", status=202)
