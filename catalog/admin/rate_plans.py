"""Rate plans: a draft is edited, published by an action, and followed by a new version."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.db.models.aggregates import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import action, display

from aforo.tenancy.admin_base import (
    OwnRelatedFilter,
    ReadOnlyAdmin,
    TenantFilter,
    after_dialog,
    become,
    plainly,
)
from aforo.tenancy.roles import CATALOG_WRITERS
from catalog.admin.base import (
    CatalogAdmin,
    ReadOnlyInline,
    changed_fields,
    fields_of,
    told,
)
from catalog.admin.price_panel import price_panel
from catalog.admin.prices import (
    CurrencyInline,
    PriceInline,
    currencies_written,
    is_draft,
    prices_written,
)
from catalog.admin.rows_table import MultipliersField
from catalog.models import RatePlan, RatePlanVersion, UnitPrice
from catalog.services import rate_plans
from catalog.services.version_terms import VERSION_FIELDS

_AMOUNTS = ("base_fee", "minimum_spend", "discount_percent", "discount_amount")
SHOWN_FEES = tuple(plainly(field) for field in _AMOUNTS)
_READ = (*SHOWN_FEES, *(field for field in VERSION_FIELDS if field not in _AMOUNTS))
_PUBLISHED = Q(versions__status=RatePlanVersion.Status.PUBLISHED)


class VersionInline(ReadOnlyInline):
    model = RatePlanVersion
    fields = ("number", "status", *SHOWN_FEES, "published_at")
    readonly_fields = fields
    ordering = ("-number",)
    show_change_link = True


class VersionForm(forms.ModelForm):
    dimension_pricing = MultipliersField(
        required=False, help_text="what a charge is multiplied by, for each value of the key"
    )

    class Meta:
        model = RatePlanVersion
        fields = VERSION_FIELDS


@admin.register(RatePlan)
class RatePlanAdmin(CatalogAdmin):
    """A named price list; its prices are on the pages of its versions."""

    write_roles = CATALOG_WRITERS
    list_display = ("name", "tenant", "currency", "published_version", "created_at", "archived_at")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "currency", ("archived_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "description")
    autocomplete_fields = ("tenant", "products")
    fields = ("tenant", "name", "description", "currency", "tax_code", "products")
    inlines = (VersionInline,)
    actions = ("begin_version", "archive")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RatePlan]:
        plans: QuerySet[RatePlan] = super().get_queryset(request)
        return plans.annotate(latest=Max("versions__number", filter=_PUBLISHED))

    @display(description="published version", ordering="latest")
    def published_version(self, plan: RatePlan) -> int | None:
        return getattr(plan, "latest", None)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "currency")

    def save_model(self, request: HttpRequest, obj: RatePlan, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        owners = list(form.cleaned_data["products"])
        if change:
            edits = {
                field: value for field, value in changed_fields(form).items() if field != "products"
            }
            saved = rate_plans.edit_plan(plan=obj, edits=edits, products=owners, **doing)
        else:
            given = fields_of(obj, ("name", "description", "currency", "tax_code"))
            draft = rate_plans.create_rate_plan(
                tenant=obj.tenant, products=owners, **given, **doing
            )
            saved = draft.rate_plan
        become(obj, saved)

    def response_add(
        self, request: HttpRequest, obj: RatePlan, post_url_continue: str | None = None
    ) -> HttpResponse:
        """On to the draft, where the prices are written."""
        answer: HttpResponse = super().response_add(request, obj, post_url_continue)
        draft = obj.versions.first()
        if "_save" not in request.POST or draft is None:
            return answer
        return redirect("admin:catalog_rateplanversion_change", draft.pk)

    @admin.action(description="Begin a new version", permissions=["change"])
    def begin_version(self, request: HttpRequest, queryset: QuerySet[RatePlan]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda plan, doing: rate_plans.draft_next_version(plan=plan, **doing),
            "drafts begun",
        )

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[RatePlan]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda plan, doing: rate_plans.archive_plan(plan=plan, **doing),
            "rate plans archived",
        )


@admin.register(RatePlanVersion)
class RatePlanVersionAdmin(CatalogAdmin):
    """Fees and prices of one version: written while it is a draft, read for ever after."""

    write_roles = CATALOG_WRITERS
    list_display = ("__str__", "tenant", "state", *SHOWN_FEES[:2], "published_at")
    list_select_related = ("tenant", "rate_plan")
    list_filter = (TenantFilter, "status", ("rate_plan", OwnRelatedFilter))
    search_fields = ("rate_plan__name",)
    form = VersionForm
    inlines = (PriceInline, CurrencyInline)
    actions = ("publish",)
    actions_detail = ("compare_this", "publish_this")

    def get_urls(self) -> list[URLPattern]:
        panel = self.admin_site.admin_view(price_panel)
        return [path("price-panel", panel, name="catalog_price_panel"), *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a version begins with its plan, or as a copy of the last one

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        may = super().has_change_permission(request, obj)
        return may and (obj is None or is_draft(obj))

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[Any, ...]:
        fees = VERSION_FIELDS if self.has_change_permission(request, obj) else _READ
        return ("tenant", "rate_plan", "number", "status", *fees, "published_at")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return ("tenant", "rate_plan", "number", "status", "published_at")

    def has_publish_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether the page of a version offers to publish it."""
        version = self.get_object(request, object_id) if object_id else None
        return self.has_change_permission(request, version)

    @display(description="state", label={"Draft": "warning", "Published": "success"})
    def state(self, version: RatePlanVersion) -> str:
        return version.get_status_display()

    def save_model(
        self, request: HttpRequest, obj: RatePlanVersion, form: Any, change: bool
    ) -> None:
        """Nothing yet: fees and prices go to the service together, in `save_related`."""

    def save_related(
        self, request: HttpRequest, form: Any, formsets: list[Any], change: bool
    ) -> None:
        rate_plans.edit_draft(
            version=form.instance,
            fees=changed_fields(form),
            price_drafts=prices_written(formsets[0]),
            currencies=currencies_written(formsets[1]),
            **self.doer(request, form.instance.tenant),
        )

    @admin.action(description="Publish", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[RatePlanVersion]) -> None:
        self.act(
            request,
            queryset.select_related("tenant", "rate_plan"),
            lambda version, doing: rate_plans.publish_version(version=version, **doing),
            "versions published",
        )

    @action(description="What would change", url_path="what-changes", icon="compare_arrows")
    def compare_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("billing_plan_comparison", object_id)

    @action(
        description="Publish",
        permissions=["publish"],
        url_path="publish",
        icon="publish",
        dialog={
            "title": "Publish this version?",
            "description": "It can never be changed again. New subscriptions will be pinned to it.",
            "form_class": None,
            "form_submit_text": "Publish",
        },
    )
    def publish_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        version = self.get_object(request, object_id)
        if version is None or not self.has_change_permission(request, version):
            raise PermissionDenied
        with told(request):
            rate_plans.publish_version(version=version, **self.doer(request, version.tenant))
            self.message_user(request, f"{version} is published")
        page = reverse("admin:catalog_rateplanversion_change", args=(object_id,))
        return after_dialog(request, page)


@admin.register(UnitPrice)
class UnitPriceAdmin(ReadOnlyAdmin):
    """Every price of every version, to be searched."""

    list_display = ("unit", "version", "tenant", "pricing_model", "timing")
    list_select_related = ("tenant", "unit", "version__rate_plan")
    list_filter = (TenantFilter, "timing", "version__status")
    search_fields = ("unit__name", "version__rate_plan__name")

    @display(description="model")
    def pricing_model(self, price: UnitPrice) -> str:
        return str(price.terms.get("model", ""))
