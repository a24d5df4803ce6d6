"""Subscriptions over HTTP."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from catalog.api.fields import found, missing
from catalog.api.subscription_serializers import (
    NewSubscription,
    PeriodSerializer,
    SubscriptionPhaseSerializer,
    SubscriptionSerializer,
)
from catalog.models import BillingEntity, Customer, Subscription
from catalog.selectors import listings
from catalog.services import subscriptions


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
            billing_entity=self._entity(asked.get("billing_entity_id")),
            currency=asked["currency"],
            billing_cycle=asked["billing_cycle"],
            cycle_count=asked["cycle_count"],
            billing_anchor=asked["billing_anchor"],
            anchor_day=asked.get("billing_anchor_day"),
            anchor_month=asked.get("billing_anchor_month"),
            start_trial=asked["start_trial"],
            trial_ends_at=asked.get("trial_ends_at"),
            auto_convert=asked["auto_convert_paid"],
            invoice_threshold=asked.get("invoice_threshold"),
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


class SubscriptionPhases(TenantAPIView):
    """The states that a subscription came through."""

    selector = listings.subscriptions
    serializer_class = SubscriptionPhaseSerializer

    @extend_schema(
        operation_id="subscriptions_phases_list", responses=SubscriptionPhaseSerializer(many=True)
    )
    def get(self, request: Request, **path: Any) -> Response:
        """Its phases in order of time: state, offering, reason, who; they never change."""
        rows = listings.subscription_phases(tenant=self.tenant)
        page = self.paginate_queryset(rows.filter(subscription=self.get_object()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
