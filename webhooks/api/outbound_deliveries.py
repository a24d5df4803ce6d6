"""What was sent over HTTP: newest first, each with its attempts, and sent again."""

from typing import Any

from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.newest_first import NewestFirst
from aforo.api.serializers import StrictSerializer, WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.tenancy.roles import KEY_WRITERS
from webhooks.models import DeliveryAttempt, OutboundDelivery
from webhooks.outbound.listings import outbound_deliveries
from webhooks.services import redeliveries
from webhooks.services.redeliveries import Chosen

_MOST_IDS = 1_000


class OutboundDeliverySerializer(WireModelSerializer):
    class Meta:
        model = OutboundDelivery
        fields = (
            "id",
            "endpoint_id",
            "message_id",
            "fact",
            "subject",
            "state",
            "attempt_count",
            "next_attempt_at",
            "last_status",
            "last_error",
            "created_at",
            "finished_at",
        )
        read_only_fields = fields


class DeliveryAttemptSerializer(WireModelSerializer):
    class Meta:
        model = DeliveryAttempt
        fields = (
            "number",
            "started_at",
            "milliseconds",
            "url",
            "request_headers",
            "request_body",
            "status",
            "answer",
            "error",
        )
        read_only_fields = fields


class OutboundDeliveryWithAttemptsSerializer(OutboundDeliverySerializer):
    attempts = DeliveryAttemptSerializer(many=True)

    class Meta:
        model = OutboundDelivery
        fields = (*OutboundDeliverySerializer.Meta.fields, "attempts")
        read_only_fields = fields


class OutboundDeliveryFilter(filters.FilterSet):
    endpointId = filters.UUIDFilter("endpoint_id")  # noqa: N815  # the name on the wire
    state = filters.ChoiceFilter(choices=OutboundDelivery.State.choices)
    fact = filters.CharFilter()
    subject = filters.CharFilter()
    since = filters.IsoDateTimeFilter("created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter("created_at", lookup_expr="lt")


class ChosenDeliveries(StrictSerializer):
    ids = serializers.ListField(child=serializers.UUIDField(), max_length=_MOST_IDS, required=False)
    endpoint_id = serializers.UUIDField(required=False)
    state = serializers.ChoiceField(OutboundDelivery.State.choices, required=False)
    fact = serializers.CharField(max_length=64, required=False)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class SentAgain(WireSerializer):
    count = serializers.IntegerField(help_text="deliveries that are sent again")


class OutboundDeliveries(TenantListView):
    """What was sent or waits, newest first; `since` is included, `until` is not."""

    selector = outbound_deliveries
    serializer_class = OutboundDeliverySerializer
    filterset_class = OutboundDeliveryFilter
    pagination_class = NewestFirst


class OutboundDeliveryDetail(TenantDetailView):
    """One delivery, with every request and what was answered."""

    selector = outbound_deliveries
    serializer_class = OutboundDeliveryWithAttemptsSerializer


class OutboundRedelivery(TenantAPIView):
    """Sending one again."""

    selector = outbound_deliveries
    serializer_class = OutboundDeliverySerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=None, responses={202: OutboundDeliverySerializer})
    def post(self, request: Request, **path: Any) -> Response:
        """Send a delivery again, whatever became of it: the same id, the same body."""
        again = redeliveries.redeliver(
            delivery=self.get_object(), actor=self.actor, now=timezone.now()
        )
        return self.answer(again, status=202)


class OutboundRedeliveries(TenantAPIView):
    """Sending many again."""

    serializer_class = SentAgain
    write_roles = KEY_WRITERS

    @extend_schema(
        operation_id="outbound_deliveries_redeliver_many",
        request=ChosenDeliveries,
        responses={202: SentAgain},
    )
    def post(self, request: Request) -> Response:
        """Send again all that meet every criterion, of endpoints that are on; at most 10,000.

        `state` is FAILED unless said otherwise.
        """
        asked = self.read(ChosenDeliveries)
        asked["ids"] = tuple(asked.get("ids", ()))
        count = redeliveries.redeliver_many(
            tenant=self.tenant, chosen=Chosen(**asked), actor=self.actor, now=timezone.now()
        )
        return Response({"count": count}, status=202)
