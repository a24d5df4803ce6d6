"""Costs over HTTP: reported with metering keys, listed to operators."""

from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django_filters import rest_framework as filters
from rest_framework import serializers

from aforo.api.newest_first import NewestFirst
from aforo.api.problems import problem_response
from aforo.api.serializers import WireModelSerializer
from aforo.api.views import TenantDetailView, TenantListView
from aforo.errors import AforoError
from aforo.money import plain
from aforo.tenancy.key_use import note_use
from aforo.tenancy.models import TenantQuerySet
from catalog.selectors.customer_names import customers_by_name
from metering.api import limits
from metering.api.ingest import answered, bearer_token, body_of, not_allowed
from metering.ingest import door, known
from metering.models import CostEvent
from metering.selectors.costs import cost_events
from metering.services.costs import record_costs


@csrf_exempt
def ingest_costs(request: HttpRequest) -> HttpResponse:
    """Take one cost, `{"events": [...]}` or a bare array; 202 once it cannot be lost."""
    if request.method != "POST":
        return not_allowed()
    key = None
    try:
        digest, key = door.authenticate(
            bearer_token(request), tenant_header=request.headers.get("X-Tenant-Id")
        )
        limits.require_room(key)
        admission = record_costs(
            digest=digest,
            key=key,
            body=body_of(request),
            header_key=request.headers.get("Idempotency-Key"),
            now=known.clock_of(key),
        )
        limits.count(key, admission.event_count)
        note_use(key.id, timezone.now())
        # Everything is known, and nothing waits: there is no batch to ask about.
        response = answered(admission, killed_sessions=(), batch_id=None)
    except AforoError as error:
        response = problem_response(error)
    return response if key is None else limits.told(response, key)


class CostEventSerializer(WireModelSerializer):
    amount = serializers.SerializerMethodField()
    metadata = serializers.SerializerMethodField()

    class Meta:
        model = CostEvent
        fields = (
            "id",
            "kind",
            "amount",
            "currency",
            "customer_id",
            "metric",
            "usage_key",
            "idempotency_key",
            "occurred_at",
            "received_at",
            "metadata",
        )
        read_only_fields = fields

    def get_amount(self, cost: CostEvent) -> str:
        return plain(cost.amount)

    def get_metadata(self, cost: CostEvent) -> dict[str, Any] | None:
        found: dict[str, Any] | None = msgspec.json.decode(cost.metadata) if cost.metadata else None
        return found


class CostEventFilter(filters.FilterSet):
    kind = filters.ChoiceFilter(choices=CostEvent.Kind.choices)
    currency = filters.CharFilter()
    customerId = filters.CharFilter(method="of_customer")  # noqa: N815  # the name on the wire
    usageKey = filters.CharFilter("usage_key")  # noqa: N815
    idempotencyKey = filters.CharFilter("idempotency_key")  # noqa: N815
    since = filters.IsoDateTimeFilter("occurred_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter("occurred_at", lookup_expr="lt")

    def of_customer(self, costs: TenantQuerySet, field: str, name: str) -> TenantQuerySet:
        """By any name that a cost event may give the customer."""
        found = customers_by_name(self.request.auth.tenant.pk, {name})
        return costs.filter(customer_id__in=[customer_id for customer_id, _ in found.values()])


class CostEvents(TenantListView):
    """What was reported as costs, newest first; `since` is included, `until` is not."""

    selector = cost_events
    serializer_class = CostEventSerializer
    filterset_class = CostEventFilter
    pagination_class = NewestFirst


class CostEventDetail(TenantDetailView):
    """One cost event."""

    selector = cost_events
    serializer_class = CostEventSerializer
