"""Late events over HTTP: what was counted more than a day after it happened, for review."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.cursors import PARAMETERS, cursor_of, place_of
from aforo.api.paging import size_of
from aforo.api.views import TenantAPIView
from metering.api.usage_events import UsageEventPage, event_page
from metering.selectors.held import late_events


class LateEvents(TenantAPIView):
    """Events that were late for a period which was open still: counted, and flagged."""

    @extend_schema(parameters=[*PARAMETERS], responses=UsageEventPage)
    def get(self, request: Request) -> Response:
        """What was counted last comes first, whenever it happened."""
        size, place = size_of(request), place_of(request, parts=1)
        before = place[0] if place else None
        found = late_events(tenant=self.tenant, before=before, size=size + 1)
        events = found[:size]
        end = cursor_of(events[-1].pk) if len(found) > size else None
        return event_page(events, tenant=self.tenant, next_cursor=end, size=size)
