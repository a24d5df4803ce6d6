"""Webhook sources over HTTP; their secret is in the answer that made it, and never again."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Refused
from aforo.tenancy.key_entries import is_called
from aforo.tenancy.roles import KEY_WRITERS
from webhooks import selectors
from webhooks.api.mapping_fields import WebhookMappingSerializer, rules_in
from webhooks.inbound.providers import PROVIDERS
from webhooks.models import WebhookSource
from webhooks.services import secrets, sources
from webhooks.services.deliveries import address_of, scheme_of
from webhooks.services.mappings import MOST_RULES
from webhooks.services.readings import rules_of

_LONGEST_PATH = 400


def _path() -> serializers.CharField:
    return serializers.CharField(
        max_length=_LONGEST_PATH, required=False, allow_blank=True, help_text="JSONPath"
    )


def _secret() -> serializers.CharField:
    return serializers.CharField(
        min_length=secrets.SHORTEST,
        max_length=200,
        required=False,
        help_text="where the sender dictates it",
    )


class WebhookSourceEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    signature_header = serializers.CharField(max_length=100, required=False)
    signature_algorithm = serializers.ChoiceField(WebhookSource.Algorithm.choices, required=False)
    signature_encoding = serializers.ChoiceField(WebhookSource.Encoding.choices, required=False)
    signature_prefix = serializers.CharField(max_length=40, required=False, allow_blank=True)
    requires_timestamp = serializers.BooleanField(required=False)
    public_address = serializers.URLField(
        max_length=500, required=False, allow_blank=True, help_text="as the provider calls us"
    )
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
    mappings = serializers.ListField(
        child=WebhookMappingSerializer(),
        required=False,
        max_length=MOST_RULES,
        help_text="all of them; absent: as they are, or those of the provider's template",
    )
    rate_limit = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False)
    is_active = serializers.BooleanField(required=False)


class NewWebhookSource(WebhookSourceEdits):
    name = serializers.CharField(max_length=200)
    provider = serializers.ChoiceField(WebhookSource.Provider.choices, required=False)
    tenant_id = serializers.CharField(
        max_length=80, required=False, help_text="the key decides; it must agree"
    )
    secret = _secret()


class NewWebhookSecret(WireSerializer):
    secret = _secret()
    old_valid_seconds = serializers.IntegerField(
        min_value=0,
        max_value=int(secrets.LONGEST_STAY.total_seconds()),
        default=int(secrets.OLD_STAYS.total_seconds()),
        help_text="how long pushes signed with the secret before still pass; 0: not any more",
    )


class WebhookSourceSerializer(WireModelSerializer):
    address = serializers.SerializerMethodField(help_text="what to tell the provider")
    mappings = serializers.SerializerMethodField()
    public_address = serializers.CharField(read_only=True, help_text="empty: as we see it")
    signature_algorithm = serializers.SerializerMethodField(help_text="as the provider signs")
    signature_encoding = serializers.SerializerMethodField(help_text="as the provider signs")
    signature_prefix = serializers.SerializerMethodField(help_text="as the provider signs")
    requires_timestamp = serializers.SerializerMethodField(help_text="as the provider signs")

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
            "signature_encoding",
            "signature_prefix",
            "requires_timestamp",
            "old_secret_until",
            "address",
            "public_address",
            "metric",
            "customer_id_path",
            "metric_key_path",
            "quantity_path",
            "timestamp_path",
            "event_id_path",
            "event_id_header",
            "event_type_path",
            "event_filter",
            "mappings",
            "rate_limit",
            "is_active",
            "failing_since",
            "created_at",
        )
        read_only_fields = fields

    def get_address(self, source: WebhookSource) -> str:
        return address_of(source.pk)

    def get_signature_algorithm(self, source: WebhookSource) -> str:
        return PROVIDERS[source.provider].algorithm

    @extend_schema_field(serializers.ChoiceField(WebhookSource.Encoding.choices))
    def get_signature_encoding(self, source: WebhookSource) -> str:
        return scheme_of(source).encoding

    def get_signature_prefix(self, source: WebhookSource) -> str:
        return scheme_of(source).prefix

    def get_requires_timestamp(self, source: WebhookSource) -> bool:
        return scheme_of(source).requires_timestamp

    @extend_schema_field(WebhookMappingSerializer(many=True))
    def get_mappings(self, source: WebhookSource) -> Any:
        return WebhookMappingSerializer(rules_of(source), many=True).data


class WebhookSourceWithSecretSerializer(WebhookSourceSerializer):
    secret = serializers.CharField(
        help_text="what pushes are signed with, shown this once; empty: the provider draws it"
    )

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
        if "mappings" in asked:
            asked["mappings"] = rules_in(asked["mappings"])
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
        given = {"mappings": rules_in(edits.pop("mappings"))} if "mappings" in edits else {}
        changed = sources.change_source(
            source=source, edits=edits, actor=self.actor, now=self.now(), **given
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
        """Draw another secret, in this answer and never again; the old one still passes a while."""
        own = self.get_object()
        asked = self.read(NewWebhookSecret, may_be_empty=True)
        stays = timedelta(seconds=asked.pop("old_valid_seconds"))
        source, secret = secrets.rotate_secret(
            source=own,
            actor=self.actor,
            now=self.now(),
            old_until=timezone.now() + stays if stays else None,
            **asked,
        )
        return entity_response({**self.get_serializer(source).data, "secret": secret})
