"""Billable units over HTTP, where they are called metrics."""

from dataclasses import asdict
from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.tenancy.roles import CATALOG_WRITERS
from catalog.api.fields import ExactField, found_all
from catalog.models import BillableUnit
from catalog.models.billable_units import Aggregation, Rounding
from catalog.models.products import ProductType
from catalog.selectors import listings
from catalog.services import billable_units

AGGREGATIONS = (*Aggregation.values, *billable_units.ALIASES)


class FilterCondition(WireSerializer):
    """One condition of which all must hold; the service says what is wrong with it."""

    field = serializers.CharField()
    operator = serializers.CharField()
    value = serializers.CharField()


@extend_schema_field(FilterCondition(many=True))
class FilterConditionsField(serializers.ListField):
    child = serializers.DictField()


class MetricEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False)
    unit_label = serializers.CharField(max_length=40, allow_blank=True, required=False)
    description = serializers.CharField(allow_blank=True, required=False)
    aggregation_type = serializers.ChoiceField(AGGREGATIONS, required=False, source="aggregation")
    event_field = serializers.CharField(max_length=200, allow_blank=True, required=False)
    source_metric = serializers.CharField(max_length=200, allow_blank=True, required=False)
    filter_conditions = FilterConditionsField(required=False)
    allowed_sources = serializers.ListField(
        child=serializers.CharField(max_length=16),
        max_length=20,
        required=False,
        help_text="who may send its events: sources of API keys, FILE, WEBHOOK; empty: everybody",
    )
    key_fields = serializers.ListField(
        child=serializers.CharField(max_length=200),
        max_length=10,
        required=False,
        help_text="fields that make the key of an event which comes without one",
    )
    unit_cost = ExactField(required=False)
    divide_by = ExactField(
        required=False, help_text="what the quantity is divided by before it is priced"
    )
    rounding = serializers.ChoiceField(
        Rounding.choices, required=False, allow_blank=True, help_text="before it is priced"
    )
    rounding_places = serializers.IntegerField(min_value=0, required=False)
    recurring = serializers.BooleanField(
        required=False, help_text="the level carries into the next period"
    )
    tax_code = serializers.CharField(max_length=40, allow_blank=True, required=False)


class NewMetric(MetricEdits):
    name = serializers.CharField(max_length=200)
    product_type = serializers.ChoiceField(ProductType.choices, required=False)
    product_ids = serializers.ListField(child=serializers.UUIDField(), default=list)


class NewMetrics(WireSerializer):
    product_type = serializers.ChoiceField(ProductType.choices)
    template_names = serializers.ListField(child=serializers.CharField(), max_length=100)


class MetricSerializer(WireModelSerializer):
    aggregation_type = serializers.SerializerMethodField(help_text="as clients call it")
    unit_cost = ExactField()
    divide_by = ExactField()
    product_ids = serializers.SerializerMethodField()

    class Meta:
        model = BillableUnit
        fields = (
            "id",
            "name",
            "unit_label",
            "description",
            "aggregation",
            "aggregation_type",
            "event_field",
            "source_metric",
            "filter_conditions",
            "allowed_sources",
            "key_fields",
            "unit_cost",
            "divide_by",
            "rounding",
            "rounding_places",
            "recurring",
            "tax_code",
            "product_type",
            "product_ids",
            "created_at",
            "archived_at",
        )
        read_only_fields = fields

    def get_aggregation_type(self, unit: BillableUnit) -> str:
        return billable_units.name_of_aggregation(unit.aggregation)

    def get_product_ids(self, unit: BillableUnit) -> list[str]:
        return [str(product.pk) for product in unit.products.all()]


class MetricTemplateSerializer(WireSerializer):
    name = serializers.CharField()
    unit_label = serializers.CharField()
    aggregation_type = serializers.CharField()
    event_field = serializers.CharField()
    description = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]  # a name on the wire, not the attribute


class MetricFilter(filters.FilterSet):
    name = filters.CharFilter(lookup_expr="icontains")
    productType = filters.ChoiceFilter(  # noqa: N815 - its name on the wire
        "product_type", choices=ProductType.choices
    )
    archived = filters.BooleanFilter("archived_at", lookup_expr="isnull", exclude=True)


class Metrics(TenantListView):
    """What the tenant counts."""

    selector = listings.billable_units
    serializer_class = MetricSerializer
    filterset_class = MetricFilter
    write_roles = CATALOG_WRITERS

    @extend_schema(request=NewMetric, responses={201: MetricSerializer})
    def post(self, request: Request) -> Response:
        """Create a billable unit; it counts events from now on."""
        asked = self.read(NewMetric)
        products = listings.products(tenant=self.tenant)
        owners = found_all(products, asked.pop("product_ids"), field="productIds")
        unit = billable_units.create_unit(
            tenant=self.tenant, actor=self.actor, now=self.now(), products=owners, **asked
        )
        return self.answer(unit, status=201)


class MetricDetail(TenantDetailView):
    """One billable unit."""

    selector = listings.billable_units
    serializer_class = MetricSerializer
    write_roles = CATALOG_WRITERS

    @extend_schema(request=MetricEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change some fields, for events that are counted from now on."""
        unit = billable_units.edit_unit(
            unit=self.get_object(), edits=self.read(MetricEdits), actor=self.actor, now=self.now()
        )
        return self.answer(unit)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Archive the unit; 409 METRIC_BLOCKED while an active subscription is priced by it."""
        billable_units.archive_unit(unit=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)


class MetricTemplates(TenantAPIView):
    """What most sellers of a product type count."""

    selector = listings.billable_units
    serializer_class = MetricTemplateSerializer

    @extend_schema(
        operation_id="metrics_templates_list", responses={200: MetricTemplateSerializer(many=True)}
    )
    def get(self, request: Request, product_type: str) -> Response:
        """The templates of a product type, as a plain list."""
        templates = [
            asdict(template)
            | {"aggregation_type": billable_units.name_of_aggregation(template.aggregation)}
            for template in billable_units.templates_of(product_type)
        ]
        return Response(MetricTemplateSerializer(templates, many=True).data)


class MetricsFromTemplates(TenantAPIView):
    """Billable units by the names of templates."""

    pagination_class = None
    selector = listings.billable_units
    serializer_class = MetricSerializer
    write_roles = CATALOG_WRITERS

    @extend_schema(
        operation_id="metrics_bulk_create",
        request=NewMetrics,
        responses={200: MetricSerializer(many=True)},
    )
    def post(self, request: Request) -> Response:
        """The units of these templates, as a plain list; those already there are not doubled."""
        units = billable_units.create_from_templates(
            tenant=self.tenant, actor=self.actor, now=self.now(), **self.read(NewMetrics)
        )
        return Response(self.get_serializer(units, many=True).data)
