"""The shapes of coupons on the wire."""

from typing import Any, cast

from rest_framework import serializers

from aforo.api.serializers import WireModelSerializer, WireSerializer
from catalog.api.fields import ExactField
from catalog.models import Coupon, CouponRedemption

_LIMIT: dict[str, Any] = {"required": False, "min_value": 1, "max_value": 2_000_000_000}


class CouponEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    max_redemptions = serializers.IntegerField(allow_null=True, **_LIMIT)
    max_redemptions_per_customer = serializers.IntegerField(**_LIMIT)
    valid_from = serializers.DateTimeField(required=False, allow_null=True)
    valid_until = serializers.DateTimeField(
        required=False, allow_null=True, help_text="the first moment that is not included"
    )


class NewCoupon(CouponEdits):
    """A percentage (10 is 10 %), an amount of one currency, or so many free days of trial."""

    code = serializers.CharField(max_length=64, help_text="A-Z, 0-9, _ and -")
    discount_type = serializers.ChoiceField(Coupon.DiscountType.choices)
    discount_value = ExactField()
    currency = serializers.CharField(
        max_length=3, required=False, allow_blank=True, help_text="of a FIXED_AMOUNT"
    )
    duration = serializers.ChoiceField(Coupon.Duration.choices, default=Coupon.Duration.ONCE)
    duration_in_months = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=60, help_text="of a REPEATING one"
    )
    offering_ids = serializers.ListField(
        child=serializers.UUIDField(), default=list, help_text="absent: all"
    )
    customer_id = serializers.CharField(
        max_length=200, required=False, allow_null=True, help_text="absent: everybody"
    )


class Redemption(WireSerializer):
    code = serializers.CharField(max_length=64)
    subscription_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="absent: all of the customer's; of a coupon of ONCE, their only one",
    )


class TakenBack(WireSerializer):
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class CouponSerializer(WireModelSerializer):
    coupon_id = serializers.UUIDField(source="id", read_only=True)
    discount_value = ExactField(read_only=True)
    offering_ids = serializers.SerializerMethodField()
    customer_id = serializers.UUIDField(read_only=True, allow_null=True)
    redemptions = serializers.SerializerMethodField()

    class Meta:
        model = Coupon
        fields = (
            "id",
            "coupon_id",
            "code",
            "name",
            "discount_type",
            "discount_value",
            "currency",
            "duration",
            "duration_in_months",
            "max_redemptions",
            "max_redemptions_per_customer",
            "redemptions",
            "valid_from",
            "valid_until",
            "offering_ids",
            "customer_id",
            "created_at",
            "archived_at",
        )
        read_only_fields = fields

    def get_offering_ids(self, coupon: Coupon) -> list[str]:
        return [str(offering.pk) for offering in coupon.offerings.all()]

    def get_redemptions(self, coupon: Coupon) -> int:
        return cast(int, getattr(coupon, "redemption_count", 0))


class RedemptionSerializer(WireModelSerializer):
    redemption_id = serializers.UUIDField(source="id", read_only=True)
    coupon_id = serializers.UUIDField(read_only=True)
    code = serializers.CharField(source="coupon.code", read_only=True)
    customer_id = serializers.UUIDField(read_only=True)
    customer_external_id = serializers.CharField(source="customer.external_id", read_only=True)
    subscription_id = serializers.UUIDField(read_only=True, allow_null=True)

    class Meta:
        model = CouponRedemption
        fields = (
            "id",
            "redemption_id",
            "coupon_id",
            "code",
            "customer_id",
            "customer_external_id",
            "subscription_id",
            "redeemed_at",
            "ends_at",
            "revoked_at",
        )
        read_only_fields = fields
