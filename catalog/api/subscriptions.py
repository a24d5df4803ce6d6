"""Subscriptions over HTTP."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Refused
from catalog.api.fields import found, missing
from catalog.models import BillingEntity, Customer, Subscription, SubscriptionPeriod
from catalog.selectors import listings
from catalog.services import subscriptions


class NewSubscription(WireSerializer):
    """Begins on a date (00:00 where the billing entity is) or at a moment, by default now."""

    offering_id = serializers.UUIDField()
    customer_id = serializers.CharField(max_length=200, help_text="id or externalId")
    billing_cycle = serializers.ChoiceField(["MONTHLY"], default="MONTHLY")
    start_date = serializers.DateField(required=False, allow_null=True)
    start_at = serializers.DateTimeField(required=False, allow_null=True)
    end_date = serializers.DateField(
        required=False, allow_null=True, help_text="the first day that is not included"
    )
    end_at = serializers.DateTimeField(required=False, allow_null=True)
    billing_anchor_day = serializers.IntegerField(
        required=False, allow_null=True, help_text="1 to 31, where 31 is the last day"
    )
    billing_entity_id = serializers.UUIDField(required=False, allow_null=True)
    start_trial = serializers.BooleanField(default=False)
    trial_ends_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for field in ("start", "end"):
            on, at = attrs.pop(f"{field}_date", None), attrs.pop(f"{field}_at", None)
            if on is not None and at is not None:
                raise _refused(f"{field}At", "AMBIGUOUS", f"{field}Date says it already")
            attrs[field] = on or at
        if attrs.pop("start_trial") or attrs.pop("trial_ends_at", None):
            raise _refused("startTrial", "UNSUPPORTED", "trials are not supported yet")
        return attrs


class Cancellation(WireSerializer):
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)
    cancel_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="by default now, never before"
    )


class PinnedPlan(WireSerializer):
    rate_plan_id = serializers.UUIDField(source="version.rate_plan_id")
    name = serializers.CharField(source="version.rate_plan.name")
    version_id = serializers.UUIDField()
    version = serializers.IntegerField(source="version.number")


class SubscriptionSerializer(WireModelSerializer):
    customer_id = serializers.UUIDField(read_only=True)
    customer_external_id = serializers.CharField(source="customer.external_id", read_only=True)
    offering_id = serializers.UUIDField(read_only=True)
    billing_entity_id = serializers.UUIDField(read_only=True)
    status = serializers.CharField(source="state", read_only=True)
    billing_cycle = serializers.SerializerMethodField()
    billing_anchor_day = serializers.IntegerField(source="anchor_day", read_only=True)
    plans = PinnedPlan(many=True, read_only=True)

    class Meta:
        model = Subscription
        fields = (
            "id",
            "customer_id",
            "customer_external_id",
            "offering_id",
            "billing_entity_id",
            "status",
            "currency",
            "billing_cycle",
            "start_at",
            "end_at",
            "billing_anchor_day",
            "time_zone",
            "plans",
            "created_at",
        )
        read_only_fields = fields

    def get_billing_cycle(self, subscription: Subscription) -> str:
        return "MONTHLY"


class PeriodSerializer(WireModelSerializer):
    class Meta:
        model = SubscriptionPeriod
        fields = ("id", "start_at", "end_at", "whole_start_at", "whole_end_at")
        read_only_fields = fields


class SubscriptionFilter(filters.FilterSet):
    customerId = filters.CharFilter(method="of_customer")  # noqa: N815 - its name on the wire
    offeringId = filters.UUIDFilter("offering_id")  # noqa: N815
    status = filters.ChoiceFilter("state", choices=Subscription.State.choices)

    def of_customer(
        self, rows: QuerySet[Subscription], name: str, value: str
    ) -> QuerySet[Subscription]:
        return rows.filter(listings.customer_called(value, "customer__"))


class Subscriptions(TenantListView):
    """Who has subscribed to what."""

    selector = listings.subscriptions
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilter

    @extend_schema(request=NewSubscription, responses={201: SubscriptionSerializer})
    def post(self, request: Request) -> Response:
        """Subscribe a customer to an active offering, at the latest published prices.

        Events that were counted before stay as they are, also when the start lies before them.
        """
        asked = self.read(NewSubscription)
        subscription = subscriptions.create_subscription(
            tenant=self.tenant,
            actor=self.actor,
            now=self.now(),
            customer=self._customer(asked["customer_id"]),
            offering=found(
                listings.offerings(tenant=self.tenant), asked["offering_id"], field="offeringId"
            ),
            start=asked["start"],
            end=asked["end"],
            anchor_day=asked.get("billing_anchor_day"),
            billing_entity=self._entity(asked.get("billing_entity_id")),
        )
        return self.answer(self.get_queryset().get(pk=subscription.pk), status=201)

    def _customer(self, name: str) -> Customer:
        rows = listings.customers(tenant=self.tenant).filter(listings.customer_called(name))
        # Of two, the one whose external id it is goes before the one whose own id it is.
        customer = max(rows, key=lambda row: row.external_id == name, default=None)
        if customer is None:
            raise missing("customerId", name)
        return customer

    def _entity(self, entity_id: UUID | None) -> BillingEntity | None:
        if entity_id is None:
            return None
        entities = BillingEntity.objects.for_tenant(self.tenant)
        entity: BillingEntity = found(entities, entity_id, field="billingEntityId")
        return entity


class SubscriptionDetail(TenantDetailView):
    """One subscription."""

    selector = listings.subscriptions
    serializer_class = SubscriptionSerializer


class SubscriptionPeriods(TenantAPIView):
    """The stored periods of a subscription."""

    selector = listings.subscriptions
    serializer_class = PeriodSerializer

    @extend_schema(operation_id="subscriptions_periods_list", responses=PeriodSerializer(many=True))
    def get(self, request: Request, **path: Any) -> Response:
        """Its periods in order of time, as far as they are stored."""
        rows = listings.subscription_periods(tenant=self.tenant)
        page = self.paginate_queryset(rows.filter(subscription=self.get_object()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class SubscriptionCancellation(TenantAPIView):
    """Cancelling a subscription."""

    selector = listings.subscriptions
    serializer_class = SubscriptionSerializer

    @extend_schema(request=Cancellation)
    def post(self, request: Request, **path: Any) -> Response:
        """End it, now or at `cancelAt`; its last period is prorated. Again changes nothing."""
        asked = self.read(Cancellation, may_be_empty=True)
        subscription = subscriptions.cancel_subscription(
            subscription=self.get_object(),
            actor=self.actor,
            now=self.now(),
            at=asked.get("cancel_at"),
            reason=asked["reason"],
        )
        return self.answer(self.get_queryset().get(pk=subscription.pk))


def _refused(field: str, code: str, reason: str) -> Refused:
    return Refused.naming(field, code, reason)
