"""API keys over HTTP: made and shown once, listed without their secret, revoked at once."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Refused
from aforo.tenancy import selectors
from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.models.members import Role
from aforo.tenancy.roles import KEY_WRITERS
from aforo.tenancy.services.keys import issue_key, limit_key, revoke_key

_RATE_LIMIT = "events a minute, for an operator key requests; null is none"


def environment_of(tenant: Tenant) -> str:
    """`live` or `test`: what clients call a tenant and its sandbox."""
    return "test" if tenant.is_sandbox else "live"


class NewApiKey(WireSerializer):
    name = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(ApiKey.Kind.choices, default=ApiKey.Kind.METERING)
    role = serializers.ChoiceField(
        Role.choices, default=Role.MEMBER, help_text="of an operator key"
    )
    environment = serializers.ChoiceField(
        ["live", "test"], required=False, help_text="the tenant decides; it must agree"
    )
    source = serializers.RegexField(  # type: ignore[assignment]  # a name on the wire
        r"^[A-Z][A-Z0-9_]*$",
        max_length=16,
        default="API",
        help_text="who sends with it, as billable units name their sources: SDK, GATEWAY ...",
    )
    rate_limit = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, allow_null=True, default=None, help_text=_RATE_LIMIT
    )


class ApiKeyChange(WireSerializer):
    rate_limit = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, allow_null=True, help_text=_RATE_LIMIT
    )


class Revocation(WireSerializer):
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class ApiKeySerializer(WireModelSerializer):
    environment = serializers.SerializerMethodField()
    credential_type = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "name",
            "kind",
            "role",
            "environment",
            "credential_type",
            "prefix",
            "last_four",
            "status",
            "source",
            "rate_limit",
            "created_at",
            "last_used_at",
            "revoked_at",
        )
        read_only_fields = fields

    def get_environment(self, key: ApiKey) -> str:
        return environment_of(key.tenant)

    def get_credential_type(self, key: ApiKey) -> str:
        return "BEARER_TOKEN"

    def get_status(self, key: ApiKey) -> str:
        return "REVOKED" if key.is_revoked else "ACTIVE"


class IssuedApiKeySerializer(ApiKeySerializer):
    secret = serializers.CharField(help_text="the key itself, shown this once")

    class Meta:
        model = ApiKey
        fields = (*ApiKeySerializer.Meta.fields, "secret")
        read_only_fields = fields


class ApiKeyFilter(filters.FilterSet):
    kind = filters.ChoiceFilter(choices=ApiKey.Kind.choices)
    revoked = filters.BooleanFilter("revoked_at", lookup_expr="isnull", exclude=True)


class ApiKeys(TenantListView):
    """The tenant's keys."""

    selector = selectors.api_keys
    serializer_class = ApiKeySerializer
    filterset_class = ApiKeyFilter
    write_roles = KEY_WRITERS

    @extend_schema(request=NewApiKey, responses={201: IssuedApiKeySerializer})
    def post(self, request: Request) -> Response:
        """Issue a key; `secret` is in this answer and never again."""
        asked = self.read(NewApiKey)
        own = environment_of(self.tenant)
        if asked.pop("environment", own) != own:
            raise Refused(f"keys of tenant '{self.tenant}' are {own} keys")
        key, secret = issue_key(tenant=self.tenant, actor=self.actor, now=self.now(), **asked)
        return entity_response({**self.get_serializer(key).data, "secret": secret}, status=201)


class ApiKeyDetail(TenantDetailView):
    """One key."""

    selector = selectors.api_keys
    serializer_class = ApiKeySerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=ApiKeyChange)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change what the key may send in a minute."""
        key = self.get_object()
        limit = self.read(ApiKeyChange)["rate_limit"]
        limited = limit_key(key=key, rate_limit=limit, actor=self.actor, now=self.now())
        return self.answer(limited)


class ApiKeyRevocation(TenantAPIView):
    """Revoking a key."""

    selector = selectors.api_keys
    serializer_class = ApiKeySerializer
    write_roles = KEY_WRITERS
    replays_answers = False  # doing it again is harmless, and must again reach every cache

    @extend_schema(request=Revocation)
    def post(self, request: Request, **path: Any) -> Response:
        """Revoke the key: no request that starts after this answer gets in with it."""
        reason = self.read(Revocation, may_be_empty=True)["reason"]
        key = revoke_key(key=self.get_object(), actor=self.actor, now=self.now(), reason=reason)
        return self.answer(key)
