"""Customers and their aliases over HTTP."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from catalog.api.fields import found
from catalog.models import Customer, CustomerAlias
from catalog.selectors import listings
from catalog.services import customers


class CustomerEdits(WireSerializer):
    name = serializers.CharField(max_length=200, allow_blank=True, required=False)
    email = serializers.EmailField(allow_blank=True, required=False)
    account_manager_email = serializers.EmailField(
        max_length=254,
        allow_blank=True,
        required=False,
        help_text="who is written to when a margin guard warns of this customer; empty: nobody",
    )
    currency = serializers.CharField(max_length=3, allow_blank=True, required=False)
    default_currency = serializers.CharField(
        max_length=3, allow_blank=True, required=False, help_text="the same as currency"
    )
    country = serializers.CharField(max_length=2, allow_blank=True, required=False)
    address = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    region = serializers.CharField(max_length=40, allow_blank=True, required=False)
    tax_number = serializers.CharField(max_length=40, allow_blank=True, required=False)
    tax_exempt = serializers.BooleanField(required=False)
    language = serializers.RegexField(
        r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        max_length=10,
        required=False,
        help_text="of documents: en, de, pt-BR",
    )
    parent_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="who is invoiced for this customer as well"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "default_currency" in attrs:
            attrs.setdefault("currency", attrs.pop("default_currency"))
            attrs.pop("default_currency", None)
        return attrs


class NewCustomer(CustomerEdits):
    external_id = serializers.CharField(
        max_length=200,
        required=False,
        help_text="`customerId` of events; by default the id of the answer",
    )


class NewAlias(WireSerializer):
    value = serializers.CharField(max_length=1000, trim_whitespace=False)
    kind = serializers.ChoiceField(CustomerAlias.Kind.choices, default=CustomerAlias.Kind.SUBJECT)


class CustomerSerializer(WireModelSerializer):
    email = serializers.CharField(read_only=True, help_text="may be empty")
    account_manager_email = serializers.CharField(
        read_only=True, help_text="of the seller's own colleague; may be empty"
    )
    default_currency = serializers.CharField(source="currency", read_only=True)
    parent_id = serializers.UUIDField(read_only=True, allow_null=True)
    alias_count = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()

    class Meta:
        model = Customer
        fields = (
            "id",
            "external_id",
            "name",
            "email",
            "account_manager_email",
            "currency",
            "default_currency",
            "country",
            "address",
            "region",
            "tax_number",
            "tax_exempt",
            "language",
            "parent_id",
            "alias_count",
            "status",
            "created_at",
            "archived_at",
        )
        read_only_fields = fields

    def get_alias_count(self, customer: Customer) -> int:
        return getattr(customer, "alias_count", 0)

    def get_status(self, customer: Customer) -> str:
        return "ACTIVE" if customer.archived_at is None else "ARCHIVED"


class AliasSerializer(WireModelSerializer):
    """An alias by its label; a secret one is shown as its hash."""

    customer_id = serializers.UUIDField(read_only=True)
    label = serializers.CharField(  # type: ignore[assignment]  # not the attribute
        source="__str__", read_only=True
    )

    class Meta:
        model = CustomerAlias
        fields = ("id", "customer_id", "kind", "label", "created_at")
        read_only_fields = fields


class CustomerFilter(filters.FilterSet):
    name = filters.CharFilter(lookup_expr="icontains")
    email = filters.CharFilter(lookup_expr="iexact")
    externalId = filters.CharFilter("external_id")  # noqa: N815 - its name on the wire
    parentId = filters.UUIDFilter("parent_id")  # noqa: N815
    archived = filters.BooleanFilter("archived_at", lookup_expr="isnull", exclude=True)


class Customers(TenantListView):
    """The tenant's customers."""

    selector = listings.customers
    serializer_class = CustomerSerializer
    filterset_class = CustomerFilter

    @extend_schema(request=NewCustomer, responses={201: CustomerSerializer})
    def post(self, request: Request) -> Response:
        """Create a customer; events may name them by externalId, by id or by an alias."""
        asked = with_parent(self.read(NewCustomer), self.get_queryset())
        customer = customers.create_customer(
            tenant=self.tenant, actor=self.actor, now=self.now(), **asked
        )
        return self.answer(customer, status=201)


def with_parent(asked: dict[str, Any], rows: QuerySet[Customer]) -> dict[str, Any]:
    """What was asked, with the parent itself in place of its id; NotFound for somebody else's."""
    if "parent_id" not in asked:
        return asked
    parent_id = asked.pop("parent_id")
    asked["parent"] = found(rows, parent_id, field="parentId") if parent_id else None
    return asked


class CustomerDetail(TenantDetailView):
    """One customer."""

    selector = listings.customers
    serializer_class = CustomerSerializer

    @extend_schema(request=CustomerEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change some fields; issued invoices keep what they show."""
        customer = self.get_object()
        edits = with_parent(self.read(CustomerEdits), self.get_queryset())
        customers.edit_customer(customer=customer, edits=edits, actor=self.actor, now=self.now())
        return self.answer(self.get_queryset().get(pk=customer.pk))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Archive a customer who has no running subscription."""
        customers.archive_customer(customer=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)


class CustomerAliases(TenantAPIView):
    """The other names of a customer."""

    selector = listings.customers
    serializer_class = AliasSerializer

    @extend_schema(operation_id="customers_aliases_list", responses=AliasSerializer(many=True))
    def get(self, request: Request, **path: Any) -> Response:
        """The customer's aliases; secret ones by their hash."""
        rows = listings.customer_aliases(tenant=self.tenant).filter(customer=self.get_object())
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=NewAlias, responses={201: AliasSerializer})
    def post(self, request: Request, **path: Any) -> Response:
        """Let events that name `value` count for this customer, from now on."""
        alias = customers.add_alias(
            customer=self.get_object(), actor=self.actor, now=self.now(), **self.read(NewAlias)
        )
        return entity_response(AliasSerializer(alias).data, status=201)


class CustomerAliasDetail(TenantAPIView):
    """One alias of a customer."""

    selector = listings.customer_aliases
    serializer_class = AliasSerializer
    lookup_url_kwarg = "alias_id"

    def get_queryset(self) -> QuerySet[CustomerAlias]:
        return super().get_queryset().filter(customer=self.kwargs.get("id"))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Let events that name it count no more."""
        alias = self.get_object()
        customers.remove_alias(alias=alias, actor=self.actor, now=self.now())
        return Response(status=204)
