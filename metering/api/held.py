"""Held events over HTTP: late usage of billed periods, accepted or waived, one or thousands."""

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import StrictSerializer, WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import FieldError, Refused
from aforo.money import plain
from catalog.models import Customer
from catalog.selectors.listings import customer_called
from metering.models import HeldEvent
from metering.selectors.held import held_events
from metering.services.held import accept_event, decide_events, waive_event

MOST_IDS = 1_000
_LOOKUPS = {"received_from": "received_at__gte", "received_until": "received_at__lt"}


class HeldEventSerializer(WireModelSerializer):
    """One event as one billable unit would count it; decided on the tenant's clock."""

    quantity = serializers.SerializerMethodField()
    running_total_id = serializers.CharField()

    class Meta:
        model = HeldEvent
        fields = (
            "id",
            "status",
            "customer_id",
            "unit_id",
            "running_total_id",
            "idempotency_key",
            "metric",
            "quantity",
            "occurred_at",
            "received_at",
            "source",
            "batch_id",
            "batch_index",
            "decided_at",
            "decided_by",
            "reason",
        )
        read_only_fields = fields

    def get_quantity(self, held: HeldEvent) -> str:
        return plain(held.quantity)


class Decision(StrictSerializer):
    reason = serializers.CharField(max_length=1000, help_text="kept with the event, and audited")


class DecisionFilter(StrictSerializer):
    """As the parameters of the list; all that is named must hold."""

    customer_id = serializers.CharField(required=False, max_length=400)
    metric = serializers.CharField(required=False, max_length=400)
    unit_id = serializers.UUIDField(required=False)
    batch_id = serializers.UUIDField(required=False)
    idempotency_key = serializers.CharField(required=False, max_length=4096, trim_whitespace=False)
    received_from = serializers.DateTimeField(required=False)
    received_until = serializers.DateTimeField(required=False)


class BulkDecision(Decision):
    """Either `ids`, or a `filter`; `{}` means everything that waits."""

    ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, min_length=1, max_length=MOST_IDS
    )
    filter = DecisionFilter(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in attrs) == ("filter" in attrs):
            message = "name either ids or a filter"
            raise Refused(message, errors=(FieldError("ids", "AMBIGUOUS", message),))
        return attrs


class BulkOutcome(WireSerializer):
    decided = serializers.IntegerField(help_text="events, each with all its rows")


class HeldEventFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=HeldEvent.Status.choices)
    customerId = filters.CharFilter(method="of_customer")  # noqa: N815 - its name on the wire
    metric = filters.CharFilter()
    unitId = filters.UUIDFilter("unit_id")  # noqa: N815
    batchId = filters.UUIDFilter("batch_id")  # noqa: N815
    idempotencyKey = filters.CharFilter("idempotency_key", strip=False)  # noqa: N815
    receivedFrom = filters.IsoDateTimeFilter("received_at", "gte")  # noqa: N815
    receivedUntil = filters.IsoDateTimeFilter("received_at", "lt")  # noqa: N815

    def of_customer(self, rows: QuerySet[HeldEvent], name: str, value: str) -> QuerySet[HeldEvent]:
        return rows.filter(customer_id__in=_customers_called(value))


class HeldEvents(TenantListView):
    """Late events of billed periods, newest first, one row per billable unit."""

    selector = held_events
    serializer_class = HeldEventSerializer
    filterset_class = HeldEventFilter


class HeldEventDetail(TenantDetailView):
    """One held event."""

    selector = held_events
    serializer_class = HeldEventSerializer


class _OneDecision(TenantAPIView):
    selector = held_events
    serializer_class = HeldEventSerializer
    replays_answers = False  # a decision stays as it is, however often it is asked for


class HeldEventAcceptance(_OneDecision):
    """Accepting a held event."""

    @extend_schema(request=Decision)
    def post(self, request: Request, **path: Any) -> Response:
        """Count it; the next invoice bills what it adds. Decides the event for all its units."""
        waiting = self.get_object()
        reason = self.read(Decision)["reason"]
        held = accept_event(held=waiting, actor=self.actor, reason=reason, now=self.now())
        return self.answer(held)


class HeldEventWaiver(_OneDecision):
    """Waiving a held event."""

    @extend_schema(request=Decision)
    def post(self, request: Request, **path: Any) -> Response:
        """Let it go unbilled, for good. Decides the event for all its units."""
        waiting = self.get_object()
        reason = self.read(Decision)["reason"]
        held = waive_event(held=waiting, actor=self.actor, reason=reason, now=self.now())
        return self.answer(held)


class _BulkDecision(TenantAPIView):
    selector = held_events
    serializer_class = BulkOutcome
    status: ClassVar[HeldEvent.Status]

    def _decided(self) -> Response:
        asked = self.read(BulkDecision)
        decided = decide_events(
            tenant=self.tenant,
            chosen=self._chosen(asked),
            status=self.status,
            actor=self.actor,
            reason=asked["reason"],
            now=self.now(),
        )
        return entity_response({"decided": decided})

    def _chosen(self, asked: dict[str, Any]) -> QuerySet[HeldEvent]:
        rows = self.get_queryset()
        if "ids" in asked:
            return rows.filter(pk__in=asked["ids"])
        wanted: dict[str, Any] = dict(asked["filter"])
        name = wanted.pop("customer_id", None)
        if name is not None:
            rows = rows.filter(customer_id__in=_customers_called(name))
        for field, value in wanted.items():
            rows = rows.filter(Q((_LOOKUPS.get(field, field), value)))
        return rows


class HeldEventsAcceptance(_BulkDecision):
    """Accepting many held events."""

    status = HeldEvent.Status.ACCEPTED

    @extend_schema(
        operation_id="held_events_accept_many", request=BulkDecision, responses=BulkOutcome
    )
    def post(self, request: Request) -> Response:
        """Count all that wait among those named; what is decided already stays as it is."""
        return self._decided()


class HeldEventsWaiver(_BulkDecision):
    """Waiving many held events."""

    status = HeldEvent.Status.WAIVED

    @extend_schema(
        operation_id="held_events_waive_many", request=BulkDecision, responses=BulkOutcome
    )
    def post(self, request: Request) -> Response:
        """Let all go that wait among those named; what is decided already stays as it is."""
        return self._decided()


def _customers_called(name: str) -> QuerySet[Customer, dict[str, Any]]:
    """Ids of customers by external id or own id."""
    named = customer_called(name)
    return Customer.objects.filter(named).values("pk")  # any tenant: only compared with own rows
