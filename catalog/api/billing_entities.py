"""Billing entities over HTTP: who invoices, with which taxes and looks."""

from base64 import b64decode
from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from catalog.models import BillingEntity
from catalog.selectors.billing_entities import billing_entities
from catalog.services.billing_entities import (
    EDITABLE,
    create_entity,
    edit_entity,
    rotate_tax_secret,
    set_logo,
)


class BillingEntityEdits(WireSerializer):
    display_name = serializers.CharField(max_length=200, required=False)
    legal_name = serializers.CharField(max_length=200, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    country = serializers.CharField(max_length=2, allow_blank=True, required=False)
    region = serializers.CharField(max_length=40, allow_blank=True, required=False)
    address = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    tax_number = serializers.CharField(max_length=40, allow_blank=True, required=False)
    invoice_prefix = serializers.CharField(max_length=20, required=False)
    payment_terms_days = serializers.IntegerField(min_value=0, max_value=3650, required=False)
    grace_days = serializers.IntegerField(
        min_value=0, max_value=365, required=False, help_text="how long invoices stay drafts"
    )
    tax_engine = serializers.ChoiceField(BillingEntity.TaxEngine.choices, required=False)
    tax_url = serializers.URLField(
        allow_blank=True, required=False, help_text="of the external engine: https"
    )
    tax_inclusive = serializers.BooleanField(
        required=False, help_text="whether prices include the tax"
    )
    accent_color = serializers.CharField(
        max_length=7, allow_blank=True, required=False, help_text="of its papers: #1a2b3c"
    )
    footer = serializers.CharField(max_length=2000, allow_blank=True, required=False)


class Logo(WireSerializer):
    picture = serializers.CharField(
        max_length=300_000,
        allow_blank=True,
        trim_whitespace=True,
        help_text="PNG, JPEG or SVG in base64, up to 200 kB; empty: none",
    )

    def validate_picture(self, text: str) -> bytes:
        try:
            return b64decode(text, validate=True)
        except ValueError:
            raise serializers.ValidationError("is no base64", code="invalid") from None


class NewBillingEntity(BillingEntityEdits):
    code = serializers.CharField(max_length=20, help_text="stays for good")
    display_name = serializers.CharField(max_length=200)
    currency = serializers.CharField(max_length=3, help_text="stays for good")


class BillingEntitySerializer(WireModelSerializer):
    tax_url = serializers.CharField(read_only=True, help_text="empty: no engine over HTTP")
    has_tax_secret = serializers.SerializerMethodField()
    has_logo = serializers.SerializerMethodField()

    class Meta:
        model = BillingEntity
        fields = (
            "id",
            "code",
            "currency",
            *EDITABLE,
            "has_tax_secret",
            "has_logo",
            "is_default",
            "created_at",
        )
        read_only_fields = fields

    def get_has_tax_secret(self, entity: BillingEntity) -> bool:
        return entity.tax_secret is not None

    def get_has_logo(self, entity: BillingEntity) -> bool:
        return bool(entity.logo)


class TaxSecret(WireSerializer):
    secret = serializers.CharField(help_text="signs questions to the engine; shown this once")


class BillingEntityFilter(filters.FilterSet):
    code = filters.CharFilter()


class BillingEntities(TenantListView):
    """Who invoices: each subscription is bound to one."""

    selector = billing_entities
    serializer_class = BillingEntitySerializer
    filterset_class = BillingEntityFilter

    @extend_schema(request=NewBillingEntity, responses={201: BillingEntitySerializer})
    def post(self, request: Request) -> Response:
        """Add one; its code and its currency stay as they are."""
        asked = self.read(NewBillingEntity)
        entity = create_entity(tenant=self.tenant, actor=self.actor, now=self.now(), **asked)
        return self.answer(entity, status=201)


class BillingEntityDetail(TenantDetailView):
    """One billing entity."""

    selector = billing_entities
    serializer_class = BillingEntitySerializer

    @extend_schema(request=BillingEntityEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change it; issued invoices keep what they show."""
        entity = edit_entity(
            entity=self.get_object(),
            edits=self.read(BillingEntityEdits),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(entity)


class BillingEntityLogo(TenantAPIView):
    """The picture on its papers."""

    selector = billing_entities
    serializer_class = BillingEntitySerializer

    @extend_schema(request=Logo)
    def put(self, request: Request, **path: Any) -> Response:
        """Set it, or take it away; papers that are drawn from now on show it."""
        entity = set_logo(
            entity=self.get_object(),
            picture=self.read(Logo)["picture"],
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(entity)


class BillingEntityTaxSecret(TenantAPIView):
    """The secret that questions to its external tax engine are signed with."""

    selector = billing_entities
    serializer_class = TaxSecret
    replays_answers = False  # a secret is stored nowhere but sealed

    @extend_schema(request=None, responses={201: TaxSecret})
    def post(self, request: Request, **path: Any) -> Response:
        """Draw another secret; it is shown this once, and the one before signs no more."""
        secret = rotate_tax_secret(entity=self.get_object(), actor=self.actor, now=self.now())
        return entity_response({"secret": secret}, status=201)
