"""Coupons and who has redeemed them."""

from dataclasses import fields
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from aforo.tenancy.admin_base import TenantFilter, become, plainly
from aforo.tenancy.roles import CATALOG_WRITERS, WRITERS
from catalog.admin.base import CatalogAdmin, ReadOnlyInline, changed_fields, fields_of
from catalog.models import Coupon, CouponRedemption
from catalog.services import coupons, redemptions
from catalog.services.coupons import CouponDraft

DRAFT_FIELDS = tuple(field.name for field in fields(CouponDraft))
_STANDING = Count("redemptions", filter=Q(redemptions__revoked_at=None), distinct=True)


class RedemptionInline(ReadOnlyInline):
    model = CouponRedemption
    fields = ("customer", "subscription", "redeemed_at", "ends_at", "revoked_at")
    readonly_fields = fields


class CouponForm(forms.ModelForm):
    class Meta:
        model = Coupon
        fields = ()  # the page names them
        help_texts = {
            "code": "what customers type, in upper case",
            "discount_value": "percent, an amount, or days, as the type says",
            "currency": "of an amount; empty for percentages and days",
            "duration_in_months": "when it holds for several months",
            "max_redemptions": "by all customers together; empty: no limit",
            "max_redemptions_per_customer": "by one customer",
        }


@admin.register(Coupon)
class CouponAdmin(CatalogAdmin):
    """Discounts by code; what one takes off never changes."""

    form = CouponForm
    write_roles = CATALOG_WRITERS | WRITERS
    list_display = (
        "code",
        "tenant",
        "takes_off",
        "duration",
        "redeemed",
        "max_redemptions",
        "valid_until",
        "archived_at",
    )
    list_select_related = ("tenant",)
    list_filter = (
        TenantFilter,
        "discount_type",
        "duration",
        ("archived_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("code", "name")
    autocomplete_fields = ("tenant", "customer", "offerings")
    fields = ("tenant", *DRAFT_FIELDS, "offerings", "customer")
    inlines = (RedemptionInline,)
    actions = ("archive",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Coupon]:
        rows: QuerySet[Coupon] = super().get_queryset(request)
        return rows.annotate(standing=_STANDING)

    @display(description="takes off", ordering="discount_value")
    def takes_off(self, coupon: Coupon) -> str:
        value = plainly("discount_value")(coupon)
        units = {"PERCENTAGE": "%", "TRIAL_DAYS": "days of trial"}
        return f"{value} {units.get(coupon.discount_type, coupon.currency)}"

    @display(description="redeemed", ordering="standing")
    def redeemed(self, coupon: Coupon) -> int:
        return int(getattr(coupon, "standing", 0))

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> Any:
        return self.inlines if obj is not None else ()

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        if obj is None:
            return ()
        fixed = (name for name in DRAFT_FIELDS if name not in coupons.EDITABLE)
        return ("tenant", *fixed, "offerings", "customer")

    def save_model(self, request: HttpRequest, obj: Coupon, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        if change:
            saved = coupons.edit_coupon(coupon=obj, edits=changed_fields(form), **doing)
        else:
            saved = coupons.create_coupon(
                tenant=obj.tenant,
                draft=CouponDraft(**fields_of(obj, DRAFT_FIELDS)),
                offerings=list(form.cleaned_data["offerings"]),
                customer=obj.customer,
                **doing,
            )
        become(obj, saved)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Coupon]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda coupon, doing: coupons.archive_coupon(coupon=coupon, **doing),
            "coupons archived",
        )


class RedemptionForm(forms.ModelForm):
    class Meta:
        model = CouponRedemption
        fields = ("tenant", "coupon", "customer", "subscription")


@admin.register(CouponRedemption)
class CouponRedemptionAdmin(CatalogAdmin):
    """Coupons in the hands of customers: given here, and taken back."""

    form = RedemptionForm
    list_display = (
        "coupon",
        "tenant",
        "customer",
        "subscription",
        "redeemed_at",
        "ends_at",
        "revoked_at",
    )
    list_select_related = (
        "tenant",
        "coupon",
        "customer",
        "subscription__customer",
        "subscription__offering",
    )
    list_filter = (TenantFilter, ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("coupon__code", "customer__external_id", "customer__name")
    autocomplete_fields = ("tenant", "coupon", "customer", "subscription")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        whose = ("tenant", "coupon", "customer", "subscription")
        return whose if obj is None else (*whose, "redeemed_at", "ends_at", "revoked_at")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def save_model(
        self, request: HttpRequest, obj: CouponRedemption, form: Any, change: bool
    ) -> None:
        if change:
            return
        saved = redemptions.redeem_coupon(
            tenant=obj.tenant,
            code=obj.coupon.code,
            customer=obj.customer,
            subscription=obj.subscription,
            **self.doer(request, obj.tenant),
        )
        become(obj, saved)

    @admin.action(description="Take back", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[CouponRedemption]) -> None:
        self.act(
            request,
            queryset.select_related("tenant", "coupon"),
            lambda row, doing: redemptions.revoke_redemption(redemption=row, **doing),
            "coupons taken back",
        )
