"""Webhook sources over HTTP; their secret is in the answer that made it, and never again."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Refused
from aforo.tenancy.roles import KEY_WRITERS
from aforo.tenancy.selectors import is_called
from webhooks import selectors
from webhooks.models import WebhookSource
from webhooks.services import sources

_LONGEST_PATH = 400


def _path() -> serializers.CharField:
    return serializers.CharField(
        max_length=_LONGEST_PATH, required=False, allow_blank=True, help_text="JSONPath"
    )


def _secret() -> serializers.CharField:
    return serializers.CharField(
        min_length=16, max_length=200, required=False, help_text="where the sender dictates it"
    )


class WebhookSourceEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    signature_header = serializers.CharField(max_length=100, required=False)
    signature_algorithm = serializers.ChoiceField(WebhookSource.Algorithm.choices, required=False)
    metric = serializers.CharField(max_length=200, required=False, allow_blank=True)
    customer_id_path = _path()
    metric_key_path = _path()
    quantity_path = _path()
    timestamp_path = _path()
    event_id_path = _path()
    event_id_header = serializers.CharField(max_length=100, required=False, allow_blank=True)
    event_type_path = _path()
    event_filter = serializers.ListField(
        child=serializers.CharField(max_length=200), max_length=100, required=False
    )
    rate_limit = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False)
    is_active = serializers.BooleanField(required=False)


class NewWebhookSource(WebhookSourceEdits):
    name = serializers.CharField(max_length=200)
    tenant_id = serializers.CharField(
        max_length=80, required=False, help_text="the key decides; it must agree"
    )
    secret = _secret()


class NewWebhookSecret(WireSerializer):
    secret = _secret()


class WebhookSourceSerializer(WireModelSerializer):
    class Meta:
        model = WebhookSource
        fields = (
            "id",
            "tenant_id",
            "name",
            "description",
            "provider",
            "signature_header",
            "signature_algorithm",
            "metric",
            "customer_id_path",
            "metric_key_path",
            "quantity_path",
            "timestamp_path",
            "event_id_path",
            "event_id_header",
            "event_type_path",
            "event_filter",
            "rate_limit",
            "is_active",
            "created_at",
        )
        read_only_fields = fields


class WebhookSourceWithSecretSerializer(WebhookSourceSerializer):
    secret = serializers.CharField(help_text="what pushes are signed with, shown this once")

    class Meta:
        model = WebhookSource
        fields = (*WebhookSourceSerializer.Meta.fields, "secret")
        read_only_fields = fields


class WebhookSources(TenantListView):
    """The tenant's webhook sources."""

    selector = selectors.webhook_sources
    serializer_class = WebhookSourceSerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=NewWebhookSource, responses={201: WebhookSourceWithSecretSerializer})
    def post(self, request: Request) -> Response:
        """Make a source; `secret` is in this answer and never again."""
        asked = self.read(NewWebhookSource)
        named = asked.pop("tenant_id", None)
        if named and not is_called(named, tenant_id=self.tenant.pk, slug=self.tenant.slug):
            raise Refused("tenantId names another tenant than the key")
        source, secret = sources.create_source(
            tenant=self.tenant, actor=self.actor, now=self.now(), **asked
        )
        return entity_response({**self.get_serializer(source).data, "secret": secret}, status=201)


class WebhookSourceDetail(TenantDetailView):
    """One webhook source."""

    selector = selectors.webhook_sources
    serializer_class = WebhookSourceSerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=WebhookSourceEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change a source; pushes that begin later follow it."""
        source = self.get_object()
        edits = self.read(WebhookSourceEdits)
        changed = sources.change_source(
            source=source, edits=edits, actor=self.actor, now=self.now()
        )
        return self.answer(changed)

    @extend_schema(responses=WebhookSourceSerializer)
    def delete(self, request: Request, **path: Any) -> Response:
        """Take nothing more from a source; what came from it stays."""
        source = self.get_object()
        return self.answer(sources.archive_source(source=source, actor=self.actor, now=self.now()))


class WebhookSourceRotation(TenantAPIView):
    """Rotating a secret."""

    selector = selectors.webhook_sources
    serializer_class = WebhookSourceSerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=NewWebhookSecret, responses=WebhookSourceWithSecretSerializer)
    def post(self, request: Request, **path: Any) -> Response:
        """Draw another secret, in this answer and never again; the old one is void at once."""
        own = self.get_object()
        asked = self.read(NewWebhookSecret, may_be_empty=True)
        source, secret = sources.rotate_secret(
            source=own, actor=self.actor, now=self.now(), **asked
        )
        return entity_response({**self.get_serializer(source).data, "secret": secret})
