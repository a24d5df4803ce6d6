"""Subscriptions: begun and cancelled here, never edited."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, become
from catalog.admin.base import CatalogAdmin, ReadOnlyInline
from catalog.models import Subscription, SubscriptionPeriod, SubscriptionPlan
from catalog.services import subscriptions


class PlanInline(ReadOnlyInline):
    model = SubscriptionPlan
    fields = ("version", "position")
    readonly_fields = fields


class PeriodInline(ReadOnlyInline):
    model = SubscriptionPeriod
    fields = ("start_at", "end_at", "whole_start_at", "whole_end_at")
    readonly_fields = fields
    show_change_link = False


class SubscriptionForm(forms.ModelForm):
    """What is left empty is decided by the service."""

    class Meta:
        model = Subscription
        fields = ("tenant", "customer", "offering", "billing_entity", "start_at", "end_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("billing_entity", "start_at", "anchor_day"):
            if name in self.fields:
                self.fields[name].required = False


@admin.register(Subscription)
class SubscriptionAdmin(CatalogAdmin):
    """One customer on one offering, at the prices of the day it began."""

    form = SubscriptionForm
    list_display = (
        "customer",
        "offering",
        "tenant",
        "status",
        "currency",
        "start_at",
        "end_at",
    )
    list_select_related = ("tenant", "customer", "offering")
    list_filter = (TenantFilter, "state", "currency", ("start_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = (
        "customer__external_id",
        "customer__name",
        "offering__name",
        "offering__code",
    )
    autocomplete_fields = ("tenant", "customer", "offering", "billing_entity")
    inlines = (PlanInline, PeriodInline)
    actions = ("cancel",)

    @display(description="state", label={"Active": "success", "Cancelled": "danger"})
    def status(self, subscription: Subscription) -> str:
        return subscription.get_state_display()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        asked = (
            "tenant",
            "customer",
            "offering",
            "billing_entity",
            "start_at",
            "end_at",
            "anchor_day",
        )
        return asked if obj is None else (*asked, "state", "currency", "time_zone", "created_at")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: Subscription, form: Any, change: bool) -> None:
        if change:
            return
        given = form.cleaned_data
        subscription = subscriptions.create_subscription(
            tenant=given["tenant"],
            customer=given["customer"],
            offering=given["offering"],
            billing_entity=given["billing_entity"],
            start=given["start_at"],
            end=given["end_at"],
            anchor_day=given["anchor_day"],
            **self.doer(request, given["tenant"]),
        )
        become(obj, subscription)

    @admin.action(description="Cancel now", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        self.act(
            request,
            queryset.select_related("tenant", "customer", "offering").filter(
                state=Subscription.State.ACTIVE
            ),
            lambda subscription, doing: subscriptions.cancel_subscription(
                subscription=subscription, reason="by hand", **doing
            ),
            "subscriptions cancelled",
        )


@admin.register(SubscriptionPlan)
class SubscriptionPlanAdmin(ReadOnlyAdmin):
    """Which version each subscription is pinned to."""

    list_display = ("subscription", "version", "tenant", "position")
    list_select_related = (
        "tenant",
        "subscription__customer",
        "subscription__offering",
        "version__rate_plan",
    )
    list_filter = (TenantFilter, "subscription__state")
    search_fields = ("subscription__customer__external_id", "version__rate_plan__name")


@admin.register(SubscriptionPeriod)
class SubscriptionPeriodAdmin(ReadOnlyAdmin):
    """The stored periods."""

    list_display = ("subscription", "tenant", "start_at", "end_at", "whole_end_at")
    list_select_related = ("tenant", "subscription__customer", "subscription__offering")
    list_filter = (TenantFilter, ("end_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("subscription__customer__external_id", "subscription__customer__name")
