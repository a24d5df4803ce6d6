"""Coupons over HTTP: made here, redeemed for customers, taken back."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Unreadable
from aforo.tenancy.roles import CATALOG_WRITERS, WRITERS
from catalog.api.contracts import customer_called
from catalog.api.coupon_serializers import (
    CouponEdits,
    CouponSerializer,
    NewCoupon,
    Redemption,
    RedemptionSerializer,
    TakenBack,
)
from catalog.api.fields import found, found_all
from catalog.models import Coupon, CouponRedemption
from catalog.selectors import listings, special_terms
from catalog.services import coupons, redemptions
from catalog.services.coupons import CouponDraft

COUPON_WRITERS = CATALOG_WRITERS | WRITERS


class CouponFilter(filters.FilterSet):
    code = filters.CharFilter()
    discountType = filters.ChoiceFilter(  # noqa: N815 - its name on the wire
        "discount_type", choices=Coupon.DiscountType.choices
    )
    archived = filters.BooleanFilter("archived_at", lookup_expr="isnull", exclude=True)


class RedemptionFilter(filters.FilterSet):
    couponId = filters.UUIDFilter("coupon_id")  # noqa: N815 - its name on the wire
    code = filters.CharFilter("coupon__code")
    customerId = filters.CharFilter(method="of_customer")  # noqa: N815
    subscriptionId = filters.UUIDFilter("subscription_id")  # noqa: N815
    revoked = filters.BooleanFilter("revoked_at", lookup_expr="isnull", exclude=True)

    def of_customer(
        self, rows: QuerySet[CouponRedemption], name: str, value: str
    ) -> QuerySet[CouponRedemption]:
        return rows.filter(listings.customer_called(value, "customer__"))


class Coupons(TenantListView):
    """Discounts by code."""

    selector = special_terms.coupons
    serializer_class = CouponSerializer
    filterset_class = CouponFilter
    write_roles = COUPON_WRITERS

    @extend_schema(request=NewCoupon, responses={201: CouponSerializer})
    def post(self, request: Request) -> Response:
        """Make a coupon; what it takes off never changes."""
        asked = self.read(NewCoupon)
        name, ids = asked.pop("customer_id", None), asked.pop("offering_ids")
        offerings = listings.offerings(tenant=self.tenant)
        coupon = coupons.create_coupon(
            tenant=self.tenant,
            actor=self.actor,
            now=self.now(),
            customer=customer_called(self, name) if name else None,
            offerings=found_all(offerings, ids, field="offeringIds"),
            draft=CouponDraft(**asked),
        )
        return self.answer(self.get_queryset().get(pk=coupon.pk), status=201)


class CouponDetail(TenantDetailView):
    """One coupon."""

    selector = special_terms.coupons
    serializer_class = CouponSerializer
    write_roles = COUPON_WRITERS

    @extend_schema(request=CouponEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change its name, its limits and when it is valid; what is redeemed stays."""
        coupon = coupons.edit_coupon(
            coupon=self.get_object(),
            edits=self.read(CouponEdits),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(self.get_queryset().get(pk=coupon.pk))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Archive it: nobody redeems it any more, what is redeemed goes on."""
        coupons.archive_coupon(coupon=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)


class CouponRedeeming(TenantAPIView):
    """Redeeming a coupon for a customer."""

    selector = special_terms.redemptions
    serializer_class = RedemptionSerializer

    @extend_schema(
        request=Redemption,
        responses={201: RedemptionSerializer},
        parameters=[
            OpenApiParameter(
                "customerId", OpenApiTypes.STR, required=True, description="id or externalId"
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Redeem `code` for a subscription, or for all of the customer's; 409 when it is spent."""
        asked = self.read(Redemption)
        name = request.query_params.get("customerId")
        if not name:
            raise Unreadable.naming("customerId", "REQUIRED", "say who redeems it in the query")
        customer = customer_called(self, name)
        redemption = redemptions.redeem_coupon(
            tenant=self.tenant,
            code=asked["code"],
            customer=customer,
            subscription=self._subscription(asked.get("subscription_id")),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(redemption, status=201)

    def _subscription(self, subscription_id: UUID | None) -> Any:
        if subscription_id is None:
            return None
        rows = listings.subscriptions(tenant=self.tenant)
        return found(rows, subscription_id, field="subscriptionId")


class CouponRedemptions(TenantListView):
    """Who has redeemed what."""

    selector = special_terms.redemptions
    serializer_class = RedemptionSerializer
    filterset_class = RedemptionFilter


class CouponRevocation(TenantAPIView):
    """Taking a redeemed coupon back."""

    selector = special_terms.redemptions
    serializer_class = RedemptionSerializer

    @extend_schema(request=TakenBack)
    def post(self, request: Request, **path: Any) -> Response:
        """Invoices made from now on do without it; again changes nothing."""
        asked = self.read(TakenBack, may_be_empty=True)
        redemption = redemptions.revoke_redemption(
            redemption=self.get_object(),
            actor=self.actor,
            now=self.now(),
            reason=asked["reason"],
        )
        return self.answer(redemption)
