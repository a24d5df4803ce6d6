"""What webhook sources pushed, over HTTP: newest first, each with its payload as it came."""

from typing import Any
from uuid import UUID

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.newest_first import NewestFirst
from aforo.api.serializers import StrictSerializer, WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.tenancy.models import Tenant, TenantQuerySet
from aforo.tenancy.roles import KEY_WRITERS
from webhooks import selectors
from webhooks.models import WebhookDelivery
from webhooks.services import replays
from webhooks.services.pushes import payload_of


class WebhookDeliverySerializer(WireModelSerializer):
    class Meta:
        model = WebhookDelivery
        fields = (
            "id",
            "source_id",
            "verdict",
            "detail",
            "arrived_at",
            "address",
            "event_type",
            "event_key",
            "event_count",
            "refused_count",
            "parked",
            "mapped_at",
            "replays",
            "batch_id",
            "later_batches",
            "size",
            "forgotten_at",
        )
        read_only_fields = fields


class WebhookDeliveryWithPayloadSerializer(WebhookDeliverySerializer):
    payload = serializers.SerializerMethodField()

    class Meta:
        model = WebhookDelivery
        fields = (*WebhookDeliverySerializer.Meta.fields, "payload")
        read_only_fields = fields

    def get_payload(self, delivery: WebhookDelivery) -> str:
        return payload_of(delivery).decode(errors="replace")


class ChosenPushes(StrictSerializer):
    """Which pushes: `ids`, or those of a source; all that meet every criterion given."""

    ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=replays.AT_ONCE
    )
    source_id = serializers.UUIDField(required=False)
    verdict = serializers.ChoiceField(
        [str(one) for one in replays.REPLAYABLE], required=False, help_text="by default UNMAPPED"
    )
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False, help_text="not included")
    after = serializers.UUIDField(required=False, help_text="the `last` of the answer before")


class ReplayedDeliveries(WireSerializer):
    deliveries = serializers.IntegerField(
        help_text=f"that are mapped again: at most {replays.AT_ONCE}, the oldest first"
    )
    last = serializers.UUIDField(
        allow_null=True, help_text="the newest of them: ask again `after` it for the rest"
    )


class DeliveryFilter(filters.FilterSet):
    sourceId = filters.UUIDFilter("source_id")  # noqa: N815  # the name on the wire
    verdict = filters.ChoiceFilter(choices=WebhookDelivery.Verdict.choices)
    batchId = filters.UUIDFilter(method="of_batch")  # noqa: N815
    since = filters.IsoDateTimeFilter("arrived_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter("arrived_at", lookup_expr="lt")

    def of_batch(self, found: TenantQuerySet, _name: str, batch_id: UUID) -> TenantQuerySet:
        return found.filter(selectors.of_batch(batch_id))


def _without_payload(*, tenant: Tenant) -> TenantQuerySet:
    return selectors.webhook_deliveries(tenant=tenant).defer("payload")


class WebhookDeliveries(TenantListView):
    """What was pushed, newest first; `since` is included, `until` is not."""

    selector = _without_payload
    serializer_class = WebhookDeliverySerializer
    filterset_class = DeliveryFilter
    pagination_class = NewestFirst


class WebhookDeliveryDetail(TenantDetailView):
    """One push, with its payload."""

    selector = selectors.webhook_deliveries
    serializer_class = WebhookDeliveryWithPayloadSerializer


class WebhookDeliveryReplay(TenantAPIView):
    """Mapping one push again."""

    selector = selectors.webhook_deliveries
    serializer_class = WebhookDeliverySerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=None, responses={202: WebhookDeliverySerializer})
    def post(self, request: Request, **path: Any) -> Response:
        """Have a push mapped again, by the mapping of its source as it is now."""
        delivery = self.get_object()
        replayed = replays.replay_delivery(delivery=delivery, actor=self.actor, now=self.now())
        return entity_response(self.get_serializer(replayed).data, status=202)


class WebhookDeliveriesReplay(TenantAPIView):
    """Mapping many pushes again."""

    serializer_class = ReplayedDeliveries
    write_roles = KEY_WRITERS

    @extend_schema(
        operation_id="webhook_deliveries_replay_many",
        request=ChosenPushes,
        responses={202: ReplayedDeliveries},
    )
    def post(self, request: Request) -> Response:
        """Have all chosen pushes mapped again, the oldest first."""
        asked = self.read(ChosenPushes)
        chosen = replays.Chosen(**{**asked, "ids": tuple(asked.get("ids", ()))})
        found = replays.replay_deliveries(
            tenant=self.tenant, chosen=chosen, actor=self.actor, now=self.now()
        )
        answer = {"deliveries": len(found), "last": found[-1] if found else None}
        return entity_response(ReplayedDeliveries(answer).data, status=202)
