"""Endpoints over HTTP; their secret is in the answer that made it, and never again."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.outbox.facts import facts
from aforo.tenancy.roles import KEY_WRITERS
from webhooks.api.outbound_deliveries import OutboundDeliverySerializer
from webhooks.models import WebhookEndpoint
from webhooks.outbound.listings import webhook_endpoints
from webhooks.services import endpoints

_MOST_FACTS = 100


class WebhookEndpointEdits(WireSerializer):
    url = serializers.CharField(max_length=2000, required=False)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    facts = serializers.ListField(
        child=serializers.CharField(max_length=64),
        max_length=_MOST_FACTS,
        required=False,
        help_text="empty: all",
    )
    is_active = serializers.BooleanField(required=False)


class NewWebhookEndpoint(WebhookEndpointEdits):
    url = serializers.CharField(max_length=2000)
    format = serializers.ChoiceField(WebhookEndpoint.Format.choices, required=False)


class WebhookEndpointSerializer(WireModelSerializer):
    class Meta:
        model = WebhookEndpoint
        fields = (
            "id",
            "url",
            "description",
            "format",
            "facts",
            "is_active",
            "disabled_at",
            "disabled_reason",
            "failing_since",
            "failures",
            "former_secret_until",
            "created_at",
        )
        read_only_fields = fields


class WebhookEndpointWithSecretSerializer(WebhookEndpointSerializer):
    secret = serializers.CharField(help_text="what messages are signed with, shown this once")

    class Meta:
        model = WebhookEndpoint
        fields = (*WebhookEndpointSerializer.Meta.fields, "secret")
        read_only_fields = fields


class WebhookFactSerializer(WireSerializer):
    kind = serializers.CharField()
    when = serializers.CharField()
    not_yet = serializers.CharField(help_text="with what it will come; empty: it is told already")
    payload_schema = serializers.DictField(source="schema", help_text="JSON Schema")


class WebhookFactsSerializer(WireSerializer):
    content = WebhookFactSerializer(many=True)


class WebhookEndpoints(TenantListView):
    """The tenant's endpoints."""

    selector = webhook_endpoints
    serializer_class = WebhookEndpointSerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=NewWebhookEndpoint, responses={201: WebhookEndpointWithSecretSerializer})
    def post(self, request: Request) -> Response:
        """Make an endpoint; `secret` is in this answer and never again."""
        asked = self.read(NewWebhookEndpoint)
        endpoint, secret = endpoints.create_endpoint(
            tenant=self.tenant, actor=self.actor, now=timezone.now(), **asked
        )
        return entity_response({**self.get_serializer(endpoint).data, "secret": secret}, status=201)


class WebhookEndpointDetail(TenantDetailView):
    """One endpoint."""

    selector = webhook_endpoints
    serializer_class = WebhookEndpointSerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=WebhookEndpointEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change an endpoint, or switch it on again: then it gets what waits."""
        endpoint = self.get_object()
        edits = self.read(WebhookEndpointEdits)
        changed = endpoints.change_endpoint(
            endpoint=endpoint, edits=edits, actor=self.actor, now=timezone.now()
        )
        return self.answer(changed)

    @extend_schema(responses=WebhookEndpointSerializer)
    def delete(self, request: Request, **path: Any) -> Response:
        """Send nothing more to an endpoint; what was sent stays on the record."""
        archived = endpoints.archive_endpoint(
            endpoint=self.get_object(), actor=self.actor, now=timezone.now()
        )
        return self.answer(archived)


class WebhookEndpointRotation(TenantAPIView):
    """Replacing a secret."""

    selector = webhook_endpoints
    serializer_class = WebhookEndpointSerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=None, responses=WebhookEndpointWithSecretSerializer)
    def post(self, request: Request, **path: Any) -> Response:
        """Draw another secret; for 24 hours messages are signed with both."""
        endpoint, secret = endpoints.rotate_secret(
            endpoint=self.get_object(), actor=self.actor, now=timezone.now()
        )
        return entity_response({**self.get_serializer(endpoint).data, "secret": secret})


class WebhookEndpointTest(TenantAPIView):
    """Trying an endpoint."""

    selector = webhook_endpoints
    serializer_class = OutboundDeliverySerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=None, responses={202: OutboundDeliverySerializer})
    def post(self, request: Request, **path: Any) -> Response:
        """Send a test message; the delivery that is answered says in a moment what came of it."""
        delivery = endpoints.test_endpoint(endpoint=self.get_object(), now=timezone.now())
        return self.answer(delivery, status=202)


class WebhookFacts(TenantAPIView):
    """What can be subscribed to."""

    serializer_class = WebhookFactsSerializer

    def get(self, request: Request) -> Response:
        """Every kind of fact, with when it is told and the JSON Schema of its payload."""
        return entity_response(WebhookFactsSerializer({"content": list(facts().values())}).data)
