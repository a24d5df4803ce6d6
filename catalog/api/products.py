"""Products over HTTP."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantDetailView, TenantListView
from aforo.tenancy.roles import CATALOG_WRITERS
from catalog.api.fields import FreeJSONField
from catalog.models import Product
from catalog.models.products import ProductType
from catalog.selectors import listings
from catalog.services import products


class ProductEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(allow_blank=True, required=False)
    lifecycle = serializers.ChoiceField(Product.Lifecycle.choices, required=False)
    status = serializers.ChoiceField(Product.Status.choices, required=False)
    metadata = FreeJSONField(required=False)


class NewProduct(ProductEdits):
    name = serializers.CharField(max_length=200)
    type = serializers.ChoiceField(ProductType.choices, default=ProductType.API)


class ProductSerializer(WireModelSerializer):
    product_type = serializers.CharField(source="type", read_only=True)

    class Meta:
        model = Product
        fields = (
            "id",
            "name",
            "description",
            "type",
            "product_type",
            "lifecycle",
            "status",
            "metadata",
            "created_at",
        )
        read_only_fields = fields


class ProductFilter(filters.FilterSet):
    name = filters.CharFilter(lookup_expr="icontains")
    productType = filters.ChoiceFilter("type", choices=ProductType.choices)  # noqa: N815 - wire
    status = filters.ChoiceFilter(choices=Product.Status.choices)


class Products(TenantListView):
    """The tenant's products."""

    selector = listings.products
    serializer_class = ProductSerializer
    filterset_class = ProductFilter
    write_roles = CATALOG_WRITERS

    @extend_schema(request=NewProduct, responses={201: ProductSerializer})
    def post(self, request: Request) -> Response:
        """Create a product. One of type API names `base_path` and `api_version` in metadata."""
        product = products.create_product(
            tenant=self.tenant, actor=self.actor, now=self.now(), **self.read(NewProduct)
        )
        return self.answer(product, status=201)


class ProductDetail(TenantDetailView):
    """One product."""

    selector = listings.products
    serializer_class = ProductSerializer
    write_roles = CATALOG_WRITERS

    @extend_schema(request=ProductEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change some fields; the lifecycle moves one step at a time."""
        product = products.edit_product(
            product=self.get_object(),
            edits=self.read(ProductEdits),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(product)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Archive the product; what is subscribed goes on."""
        products.archive_product(product=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)
