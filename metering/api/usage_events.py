"""Usage events over HTTP: found by what they say of themselves, each with its whole provenance."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.cursors import PARAMETERS, cursor_of, cursor_page, no_cursor, place_of
from aforo.api.entities import entity_response
from aforo.api.paging import size_of
from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from aforo.errors import NotFound, Unreadable
from aforo.tenancy.models import Tenant
from metering.api.provenance import ProvenanceSerializer, UsageEventSerializer
from metering.models import UsageEvent
from metering.provenance import provenance_of, usage_event
from metering.selectors.usage import Looked, Place, customer_names, usage_page

LARGEST_ID = 2**63 - 1


class UsageQuery(WireSerializer):
    """What may be asked for; all of it together must hold."""

    customer_id = serializers.CharField(
        source="customer", required=False, help_text="external id, or own id"
    )
    metric = serializers.CharField(required=False, help_text="as the event named it")
    product_type = serializers.CharField(required=False)
    session_id = serializers.CharField(required=False)
    source = serializers.CharField(required=False, help_text="API, FILE, REPLAY, ...")  # type: ignore[assignment]  # a field, not the option
    late = serializers.BooleanField(required=False, allow_null=True, default=None)
    idempotency_key = serializers.CharField(required=False, trim_whitespace=False)
    batch_id = serializers.UUIDField(required=False)
    subscription_id = serializers.UUIDField(required=False)

    def get_fields(self) -> dict[str, serializers.Field]:
        times = {
            "from": serializers.DateTimeField(
                source="since", required=False, help_text="occurred then or later"
            ),
            "to": serializers.DateTimeField(
                source="until", required=False, help_text="occurred before then"
            ),
        }
        return {**super().get_fields(), **times}


class UsageEventPage(WireSerializer):
    content = UsageEventSerializer(many=True)
    next_cursor = serializers.CharField(
        allow_null=True, help_text="null on the last page; a short page need not be the last"
    )


class UsageEvents(TenantAPIView):
    """The tenant's usage events, latest first, one row per billable unit that counts them."""

    @extend_schema(
        operation_id="usage_events_list",
        parameters=[UsageQuery, *PARAMETERS],
        responses=UsageEventPage,
    )
    def get(self, request: Request) -> Response:
        asked = UsageQuery(data=_single(request))
        asked.is_valid(raise_exception=True)
        size = size_of(request)
        looked = Looked(**asked.validated_data)
        page = usage_page(tenant=self.tenant, looked=looked, before=_place(request), size=size)
        end = None if page.end is None else cursor_of(*page.end.numbers)
        return event_page(page.events, tenant=self.tenant, next_cursor=end, size=size)


class UsageEventDetail(TenantAPIView):
    """One usage event, with everything that led to it and proves it."""

    @extend_schema(responses=ProvenanceSerializer)
    def get(self, request: Request, id: int) -> Response:  # noqa: A002 - the route's name for it
        event = usage_event(tenant=self.tenant, event_id=possible(id))
        if event is None:
            raise no_event(id)
        names = customer_names(tenant=self.tenant, events=[event])
        provenance = provenance_of(event, tenant=self.tenant)
        return entity_response(ProvenanceSerializer(provenance, context={"names": names}).data)


def event_page(
    events: Sequence[UsageEvent], *, tenant: Tenant, next_cursor: str | None, size: int
) -> Response:
    """One page of usage events."""
    names = customer_names(tenant=tenant, events=events)
    rows = UsageEventSerializer(events, many=True, context={"names": names}).data
    return cursor_page(list(rows), next_cursor=next_cursor, size=size)


def possible(event_id: int) -> int:
    """The id, if any event could have it; raises NotFound."""
    if event_id > LARGEST_ID:
        raise no_event(event_id)
    return event_id


def no_event(event_id: int) -> NotFound:
    return NotFound(f"there is no usage event {event_id} here")


def _single(request: Request) -> dict[str, Any]:
    """What is asked for, without nul characters, which no row holds."""
    for name, value in request.query_params.items():
        if "\x00" in value:
            raise Unreadable.naming(name, "INVALID", "a nul character is in it")
    return dict(request.query_params.items())


def _place(request: Request) -> Place | None:
    numbers = place_of(request, parts=2)
    try:
        return None if numbers is None else Place.of(numbers)
    except OverflowError:
        raise no_cursor() from None
