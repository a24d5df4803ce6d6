"""What webhook sources pushed, over HTTP: newest first, each with its payload as it came."""

import lz4.frame
from django_filters import rest_framework as filters
from rest_framework import serializers

from aforo.api.newest_first import NewestFirst
from aforo.api.serializers import WireModelSerializer
from aforo.api.views import TenantDetailView, TenantListView
from aforo.tenancy.models import Tenant, TenantQuerySet
from webhooks import selectors
from webhooks.models import WebhookDelivery


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
            "event_key",
            "event_count",
            "batch_id",
            "size",
        )
        read_only_fields = fields


class WebhookDeliveryWithPayloadSerializer(WebhookDeliverySerializer):
    payload = serializers.SerializerMethodField()

    class Meta:
        model = WebhookDelivery
        fields = (*WebhookDeliverySerializer.Meta.fields, "payload")
        read_only_fields = fields

    def get_payload(self, delivery: WebhookDelivery) -> str:
        payload: bytes = lz4.frame.decompress(bytes(delivery.payload))
        return payload.decode(errors="replace")


class DeliveryFilter(filters.FilterSet):
    sourceId = filters.UUIDFilter("source_id")  # noqa: N815  # the name on the wire
    verdict = filters.ChoiceFilter(choices=WebhookDelivery.Verdict.choices)
    batchId = filters.UUIDFilter("batch_id")  # noqa: N815
    since = filters.IsoDateTimeFilter("arrived_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter("arrived_at", lookup_expr="lt")


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
