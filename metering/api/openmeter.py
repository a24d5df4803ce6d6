"""OpenMeter's ingest route: CloudEvents, answered with 204 and nothing."""

from functools import partial
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from aforo.api.problems import problem_response
from metering.api.compat import entered, finished, foreign_door, require_any_accepted
from metering.api.ingest import admit, bearer_token
from metering.compat import cloudevents
from metering.selectors import meters


@foreign_door(problem_response)
def events(request: HttpRequest) -> HttpResponse:
    """Take one CloudEvent or an array, under whatever content type; 204 if any may pass."""
    digest, key = entered(request, bearer_token(request))
    value_fields = meters.value_fields(key.tenant_id)
    translate = partial(cloudevents.structured, value_fields=value_fields)
    admission = admit(request, digest, key, translate=translate)
    require_any_accepted(admission)
    return finished(HttpResponse(status=HTTPStatus.NO_CONTENT), admission)
