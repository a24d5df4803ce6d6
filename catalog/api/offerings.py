"""Offerings over HTTP."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantDetailView, TenantListView
from aforo.tenancy.roles import CATALOG_WRITERS
from catalog.api.fields import found, found_all
from catalog.models import Offering
from catalog.selectors import listings
from catalog.services import offerings


class OfferingEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(allow_blank=True, required=False)
    status = serializers.ChoiceField(Offering.Status.choices, required=False)
    trial_days = serializers.IntegerField(
        min_value=0, max_value=3650, required=False, help_text="of new subscriptions"
    )


class NewOffering(OfferingEdits):
    code = serializers.CharField(max_length=80)
    name = serializers.CharField(max_length=200)
    type = serializers.ChoiceField(Offering.Type.choices, required=False)
    primary_rate_plan_id = serializers.UUIDField(help_text="the first of its plans")
    rate_plan_ids = serializers.ListField(
        child=serializers.UUIDField(), default=list, help_text="further plans"
    )
    billing_mode = serializers.CharField(
        default=Offering.BillingMode.POSTPAID, help_text="POSTPAID; others need a wallet"
    )
    currency = serializers.CharField(
        max_length=3, required=False, help_text="by default the primary plan's"
    )
    trial_days = serializers.IntegerField(min_value=0, max_value=3650, default=0, allow_null=True)

    def validate_trialDays(self, days: int | None) -> int:  # noqa: N802 - DRF's naming
        return days or 0


class OfferingSerializer(WireModelSerializer):
    primary_rate_plan_id = serializers.SerializerMethodField()
    rate_plan_ids = serializers.SerializerMethodField()

    class Meta:
        model = Offering
        fields = (
            "id",
            "code",
            "name",
            "description",
            "type",
            "status",
            "billing_mode",
            "currency",
            "trial_days",
            "primary_rate_plan_id",
            "rate_plan_ids",
            "created_at",
        )
        read_only_fields = fields

    def get_primary_rate_plan_id(self, offering: Offering) -> str | None:
        return next(iter(self.get_rate_plan_ids(offering)), None)

    def get_rate_plan_ids(self, offering: Offering) -> list[str]:
        return [str(item.rate_plan_id) for item in offering.items.all()]


class OfferingFilter(filters.FilterSet):
    name = filters.CharFilter(lookup_expr="icontains")
    code = filters.CharFilter()
    status = filters.ChoiceFilter(choices=Offering.Status.choices)


class Offerings(TenantListView):
    """What the tenant sells."""

    selector = listings.offerings
    serializer_class = OfferingSerializer
    filterset_class = OfferingFilter
    write_roles = CATALOG_WRITERS

    @extend_schema(request=NewOffering, responses={201: OfferingSerializer})
    def post(self, request: Request) -> Response:
        """Package rate plans for sale, by default at once (ACTIVE) and paid afterwards."""
        asked = self.read(NewOffering)
        offerings.require_billing_mode(asked["billing_mode"])
        primary, others = asked.pop("primary_rate_plan_id"), asked.pop("rate_plan_ids")
        rows = listings.rate_plans(tenant=self.tenant)
        plans = [found(rows, primary, field="primaryRatePlanId")]
        further = found_all(rows, others, field="ratePlanIds")
        plans += [plan for plan in further if plan.pk != primary]
        offering = offerings.create_offering(
            tenant=self.tenant,
            actor=self.actor,
            now=self.now(),
            plans=plans,
            **{"currency": plans[0].currency, **asked},
        )
        return self.answer(offering, status=201)


class OfferingDetail(TenantDetailView):
    """One offering."""

    selector = listings.offerings
    serializer_class = OfferingSerializer
    write_roles = CATALOG_WRITERS

    @extend_schema(request=OfferingEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change how it is named and whether it is sold; its plans and currency stay."""
        offering = offerings.edit_offering(
            offering=self.get_object(),
            edits=self.read(OfferingEdits),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(offering)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Sell it no more; what is subscribed goes on."""
        offerings.archive_offering(offering=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)
