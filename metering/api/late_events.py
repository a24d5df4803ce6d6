"""Late events over HTTP: what was counted more than a day after it happened, for review."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.cursors import PARAMETERS, cursor_of, cursor_page, place_of
from aforo.api.paging import size_of
from aforo.api.views import TenantAPIView
from metering.api.provenance import UsageEventSerializer
from metering.api.usage_events import UsageEventPage
from metering.selectors.held import late_events
from metering.selectors.usage import customer_names


class LateEvents(TenantAPIView):
    """Events that were late for a period which was open still: counted, and flagged."""

    @extend_schema(parameters=[*PARAMETERS], responses=UsageEventPage)
    def get(self, request: Request) -> Response:
        """What was counted last comes first, whenever it happened."""
        size, place = size_of(request), place_of(request, parts=1)
        before = place[0] if place else None
        found = late_events(tenant=self.tenant, before=before, size=size + 1)
        events = found[:size]
        names = customer_names(tenant=self.tenant, events=events)
        rows = UsageEventSerializer(events, many=True, context={"names": names}).data
        end = cursor_of(events[-1].pk) if len(found) > size else None
        return cursor_page(list(rows), next_cursor=end, size=size)
