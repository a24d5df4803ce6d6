"""Subscriptions: begun here, and changed by acts that each have a reason, never edited."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from aforo.tenancy.admin_acts import Act, ActsOnRow
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, become
from catalog.admin.base import CatalogAdmin, ReadOnlyInline
from catalog.admin.subscription_acts import acts_of
from catalog.models import (
    Subscription,
    SubscriptionKey,
    SubscriptionPeriod,
    SubscriptionPhase,
    SubscriptionPlan,
)
from catalog.services import sales, subscriptions

_ASKED = (
    "tenant",
    "customer",
    "offering",
    "billing_entity",
    "currency",
    "start_at",
    "end_at",
    "billing_cycle",
    "cycle_count",
    "anchor_day",
    "anchor_month",
    "trial_end_at",
    "auto_convert",
    "invoice_threshold",
)
_STORED = (
    "state",
    "cancels_at_end",
    "next_offering",
    "next_offering_at",
    "time_zone",
    "created_at",
)
_COLOURS = {
    "Active": "success",
    "Trialing": "info",
    "Created": "info",
    "Paused": "warning",
    "Past due": "warning",
    "Expiring soon": "warning",
    "Suspended": "danger",
    "Expired": "danger",
    "Cancelled": "danger",
}


class PlanInline(ReadOnlyInline):
    model = SubscriptionPlan
    fields = ("version", "start_at", "end_at")
    readonly_fields = fields


class PeriodInline(ReadOnlyInline):
    model = SubscriptionPeriod
    fields = ("kind", "start_at", "end_at", "whole_start_at", "whole_end_at", "contract_phase")
    readonly_fields = fields
    show_change_link = False


class PhaseInline(ReadOnlyInline):
    model = SubscriptionPhase
    fields = ("state", "offering", "reason", "actor_name", "started_at")
    readonly_fields = fields
    show_change_link = False


class KeyInline(ReadOnlyInline):
    model = SubscriptionKey
    fields = ("key", "issued_at", "revoked_at")
    readonly_fields = fields
    show_change_link = False

    @display(description="issued at")
    def issued_at(self, bound: SubscriptionKey) -> datetime:
        return bound.key.created_at

    @display(description="revoked at")
    def revoked_at(self, bound: SubscriptionKey) -> datetime | None:
        return bound.key.revoked_at


class SubscriptionForm(forms.ModelForm):
    """What is left empty is decided by the service."""

    billing_anchor = forms.ChoiceField(
        required=False,
        choices=((sales.ANNIVERSARY, "anniversary of its start"), (sales.CALENDAR, "calendar")),
        widget=UnfoldAdminSelectWidget,
        help_text="unless a day or a month is named",
    )

    class Meta:
        model = Subscription
        fields = _ASKED

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("billing_entity", "currency", "start_at", "anchor_day", "cycle_count"):
            if name in self.fields:
                self.fields[name].required = False


@admin.register(Subscription)
class SubscriptionAdmin(ActsOnRow, CatalogAdmin):
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
    inlines = (PlanInline, PeriodInline, PhaseInline, KeyInline)
    actions = ("cancel",)

    @display(description="state", label=_COLOURS)
    def status(self, subscription: Subscription) -> str:
        return subscription.get_state_display()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return (*_ASKED, "billing_anchor") if obj is None else (*_ASKED, *_STORED)

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
            currency=given["currency"],
            billing_cycle=given["billing_cycle"],
            cycle_count=given["cycle_count"] or 1,
            billing_anchor=given["billing_anchor"] or sales.ANNIVERSARY,
            anchor_day=given["anchor_day"],
            anchor_month=given["anchor_month"],
            trial_ends_at=given["trial_end_at"],
            auto_convert=given["auto_convert"],
            invoice_threshold=given["invoice_threshold"],
            **self.doer(request, given["tenant"]),
        )
        become(obj, subscription)

    @admin.action(description="Cancel now", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        self.act(
            request,
            queryset.select_related("tenant", "customer", "offering").exclude(
                state__in=Subscription.OVER
            ),
            lambda subscription, doing: subscriptions.cancel_subscription(
                subscription=subscription, reason="by hand", **doing
            ),
            "subscriptions cancelled",
        )

    def acts_of(self, row: Subscription) -> dict[str, Act]:
        return acts_of(row)


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
