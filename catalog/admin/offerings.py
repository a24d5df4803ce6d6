"""Offerings: what customers can subscribe to."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

from aforo.errors import Refused
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, become
from aforo.tenancy.roles import CATALOG_WRITERS
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of
from catalog.models import Offering, OfferingPlan, RatePlan
from catalog.services import offerings

OFFERING_FIELDS = (
    "code",
    "name",
    "description",
    "type",
    "status",
    "billing_mode",
    "currency",
    "trial_days",
)


class PlanInline(TabularInline):
    """The plans, chosen when the offering is made; then they stay."""

    model = OfferingPlan
    extra = 1
    fields = ("rate_plan",)
    autocomplete_fields = ("rate_plan",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever sees the offering sees its plans

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Offering)
class OfferingAdmin(CatalogAdmin):
    """Rate plans packaged for sale."""

    write_roles = CATALOG_WRITERS
    list_display = ("name", "code", "tenant", "type", "status", "billing_mode", "currency")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "status", "type", "currency")
    search_fields = ("code", "name", "description")
    autocomplete_fields = ("tenant",)
    fields = ("tenant", *OFFERING_FIELDS)
    inlines = (PlanInline,)
    actions = ("archive",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "code", "type", "billing_mode", "currency")

    def save_model(self, request: HttpRequest, obj: Offering, form: Any, change: bool) -> None:
        """A new one is saved with its plans, in `save_related`."""
        if change:
            saved = offerings.edit_offering(
                offering=obj, edits=changed_fields(form), **self.doer(request, obj.tenant)
            )
            become(obj, saved)

    def save_related(
        self, request: HttpRequest, form: Any, formsets: list[Any], change: bool
    ) -> None:
        if change:
            return
        offering = form.instance
        saved = offerings.create_offering(
            tenant=offering.tenant,
            plans=_chosen(formsets),
            **fields_of(offering, OFFERING_FIELDS),
            **self.doer(request, offering.tenant),
        )
        become(offering, saved)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Offering]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda offering, doing: offerings.archive_offering(offering=offering, **doing),
            "offerings archived",
        )


@admin.register(OfferingPlan)
class OfferingPlanAdmin(ReadOnlyAdmin):
    """Which plan is sold in which offering."""

    list_display = ("offering", "rate_plan", "tenant", "position")
    list_select_related = ("tenant", "offering", "rate_plan")
    list_filter = (TenantFilter, "offering__status")
    search_fields = ("offering__name", "offering__code", "rate_plan__name")


def _chosen(formsets: list[Any]) -> list[RatePlan]:
    chosen = [form.cleaned_data.get("rate_plan") for formset in formsets for form in formset.forms]
    plans = [plan for plan in chosen if plan is not None]
    if not plans:
        raise Refused("an offering holds at least one rate plan")
    return plans
