"""Which wire format a request to the ingest routes speaks: ours, unless it says CloudEvents."""

from django.http import HttpRequest

from metering.compat import cloudevents
from metering.ingest.known import KnownKey
from metering.ingest.translation import Translate, untranslated
from metering.selectors import meters


def translate_of(request: HttpRequest, key: KnownKey) -> Translate:
    """What makes our events of the request's body."""
    content_type = request.content_type or ""
    if not cloudevents.is_spoken(content_type, request.headers):
        return untranslated
    return cloudevents.translator(content_type, request.headers, meters.value_fields(key.tenant_id))
