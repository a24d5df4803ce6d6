"""Which wire format a request to the ingest routes speaks: ours, unless it says CloudEvents."""

from django.http import HttpRequest

from metering.compat import cloudevents
from metering.ingest.known import KnownKey
from metering.ingest.translation import Translate, untranslated
from metering.selectors import meters


def translate_of(request: HttpRequest, key: KnownKey) -> Translate:
    """What makes our events of the request's body."""
    content_type = request.content_type or ""
    # Nearly all requests end here: a look into META costs a twentieth of one into the headers.
    if "HTTP_CE_SPECVERSION" not in request.META and not cloudevents.is_spoken(content_type, {}):
        return untranslated
    return cloudevents.translator(content_type, request.headers, meters.value_fields(key.tenant_id))
