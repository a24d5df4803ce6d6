"""Rate cards over HTTP: what providers ask for one unit, since when."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import StrictSerializer, WireModelSerializer
from aforo.api.views import TenantDetailView, TenantListView
from aforo.tenancy.roles import CATALOG_WRITERS, WRITERS
from catalog.api.fields import ExactField, missing
from catalog.models import BillableUnit
from catalog.pricing.dimensions import values_in
from metering.models import RateCard
from metering.selectors.rate_cards import rate_cards
from metering.services import rate_cards as services
from metering.services.rate_cards import CardDraft

CARD_WRITERS = CATALOG_WRITERS | WRITERS


class RateCardEnd(StrictSerializer):
    valid_until = serializers.DateTimeField(
        allow_null=True, help_text="the first moment that is not included; null: for good"
    )


class NewRateCard(StrictSerializer):
    """A price for one unit of a metric; `dimensions` limit it to events with such metadata."""

    provider = serializers.CharField(max_length=80)
    metric_name = serializers.CharField(max_length=200)
    dimensions = serializers.DictField(
        child=serializers.CharField(max_length=120, allow_blank=True), default=dict
    )
    unit_price = ExactField(min_value=0)
    currency = serializers.CharField(max_length=3)
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(required=False, allow_null=True)


class RateCardSerializer(WireModelSerializer):
    metric_name = serializers.CharField(source="unit.name", read_only=True)
    unit_price = ExactField(read_only=True)
    dimensions = serializers.SerializerMethodField()

    class Meta:
        model = RateCard
        fields = (
            "id",
            "provider",
            "metric_name",
            "dimensions",
            "unit_price",
            "currency",
            "valid_from",
            "valid_until",
            "created_at",
        )
        read_only_fields = fields

    def get_dimensions(self, card: RateCard) -> dict[str, str]:
        return values_in(card.dimension)


class RateCardFilter(filters.FilterSet):
    provider = filters.CharFilter()
    metricName = filters.CharFilter("unit__name")  # noqa: N815 - its name on the wire
    currency = filters.CharFilter()
    at = filters.IsoDateTimeFilter(method="holding_at")

    def holding_at(self, cards: Any, field: str, moment: Any) -> Any:
        return cards.filter(valid_from__lte=moment).exclude(valid_until__lte=moment)


class RateCards(TenantListView):
    """What providers ask, by unit; `at` leaves those that hold then."""

    selector = rate_cards
    serializer_class = RateCardSerializer
    filterset_class = RateCardFilter
    write_roles = CARD_WRITERS

    @extend_schema(request=NewRateCard, responses={201: RateCardSerializer})
    def post(self, request: Request) -> Response:
        """Add a card; an open one for the same, begun earlier, ends where it begins."""
        asked = self.read(NewRateCard)
        name = asked.pop("metric_name")
        unit = BillableUnit.objects.for_tenant(self.tenant).filter(name=name).first()
        if unit is None:
            raise missing("metricName", name)
        card = services.add_card(
            tenant=self.tenant,
            unit=unit,
            draft=CardDraft(**asked),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(card, status=201)


class RateCardDetail(TenantDetailView):
    """One rate card."""

    selector = rate_cards
    serializer_class = RateCardSerializer
    write_roles = CARD_WRITERS

    @extend_schema(request=RateCardEnd)
    def patch(self, request: Request, **path: Any) -> Response:
        """Say anew until when it holds; nothing else of a card ever changes."""
        card = self.get_object()
        card = services.end_card(
            card=card, actor=self.actor, now=self.now(), **self.read(RateCardEnd)
        )
        return self.answer(card)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Take back a card that has not begun; 409 for one that has."""
        services.delete_card(card=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)
