"""Features, what subscriptions have otherwise, and the matrix of plans and features."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from unfold.decorators import action
from unfold.widgets import INPUT_CLASSES

from aforo.errors import AforoError
from aforo.money import plain
from aforo.tenancy.admin_base import TenantFilter, become, role_in
from aforo.tenancy.models import Tenant
from aforo.tenancy.roles import CATALOG_WRITERS, WRITERS
from catalog.admin.base import (
    CatalogAdmin,
    Doer,
    changed_fields,
    fields_of,
    tenants_to_choose,
)
from catalog.models import Feature, FeatureOverride, PlanFeature, RatePlan
from catalog.services import features
from catalog.services.changes import refused
from catalog.services.features import Grant

UNLIMITED = "unlimited"
NEW_FIELDS = ("key", "kind", "unit", "name", "description")


@admin.register(Feature)
class FeatureAdmin(CatalogAdmin):
    """What can be switched on, limited or set; plans get it in the matrix."""

    write_roles = CATALOG_WRITERS
    list_display = ("key", "tenant", "name", "kind", "unit", "archived_at")
    list_select_related = ("tenant", "unit")
    list_filter = (TenantFilter, "kind", ("archived_at", admin.EmptyFieldListFilter))
    search_fields = ("key", "name")
    autocomplete_fields = ("tenant", "unit")
    fields = ("tenant", *NEW_FIELDS)
    actions = ("archive",)
    actions_list = ("open_matrix",)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.matrix)
        urls: list[URLPattern] = super().get_urls()
        return [path("matrix/", page, name="catalog_feature_matrix"), *urls]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        fixed = (name for name in NEW_FIELDS if name not in features.EDITABLE)
        return () if obj is None else ("tenant", *fixed)

    def save_model(self, request: HttpRequest, obj: Feature, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        if change:
            saved = features.edit_feature(feature=obj, edits=changed_fields(form), **doing)
        else:
            made = fields_of(obj, NEW_FIELDS)
            saved = features.create_feature(tenant=obj.tenant, **made, **doing)
        become(obj, saved)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Feature]) -> None:
        self.act(
            request,
            queryset,
            lambda row, doing: features.archive_feature(feature=row, **doing),
            "features archived",
        )

    @action(description="Plans and features", url_path="open-matrix")
    def open_matrix(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:catalog_feature_matrix")

    def matrix(self, request: HttpRequest) -> HttpResponse:
        """A row per feature, a column per plan; what is typed holds for everybody at once."""
        tenants = tenants_to_choose(request)
        chosen = request.GET.get("tenant")
        tenant = (tenants.filter(slug=chosen) if chosen else tenants).first()
        if tenant is None:
            raise PermissionDenied
        if request.method == "POST":
            changed = self._save(request, tenant)
            self.message_user(request, f"{changed} cells changed", messages.SUCCESS)
            return redirect(request.get_full_path())
        plans, rows = _matrix_of(tenant)
        return self.page(
            request,
            "catalog/feature_matrix.html",
            "Plans and features",
            tenant=tenant,
            tenants=tenants,
            plans=plans,
            rows=rows,
            classes=" ".join(INPUT_CLASSES),
            may_write=role_in(request, tenant.pk) in self.write_roles,
        )

    def _save(self, request: HttpRequest, tenant: Tenant) -> int:
        """How many cells differ now; what is refused is said, and the others are saved."""
        doing = self.doer(request, tenant)
        plans, rows = _matrix_of(tenant)
        changed = 0
        for feature, cells in rows:
            for plan, cell in zip(plans, cells, strict=True):
                typed = request.POST.get(cell["name"], "").strip()
                if typed == cell["text"]:
                    continue
                try:
                    _set(plan, feature, typed, doing)
                    changed += 1
                except AforoError as refusal:
                    said = f"{feature.key} in {plan.name}: {refusal.detail}"
                    self.message_user(request, said, messages.ERROR)
        return changed


@admin.register(FeatureOverride)
class FeatureOverrideAdmin(CatalogAdmin):
    """What a subscription has instead of its plans: trials, exceptions, what was taken away."""

    write_roles = CATALOG_WRITERS | WRITERS
    list_display = (
        "subscription",
        "feature",
        "tenant",
        "enabled",
        "limit",
        "value",
        "expires_at",
        "actor_name",
    )
    list_select_related = (
        "tenant",
        "feature",
        "subscription__customer",
        "subscription__offering",
    )
    list_filter = (TenantFilter, "enabled", ("expires_at", admin.EmptyFieldListFilter))
    search_fields = ("feature__key", "subscription__customer__external_id")
    autocomplete_fields = ("tenant", "subscription", "feature")
    fields = (
        "tenant",
        "subscription",
        "feature",
        "enabled",
        "limit",
        "value",
        "expires_at",
        "reason",
    )
    actions = ("end",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "subscription", "feature")

    def save_model(
        self, request: HttpRequest, obj: FeatureOverride, form: Any, change: bool
    ) -> None:
        saved = features.override(
            subscription=obj.subscription,
            feature=obj.feature,
            grant=Grant(obj.limit, obj.value),
            enabled=obj.enabled,
            expires_at=obj.expires_at,
            reason=obj.reason,
            **self.doer(request, obj.tenant),
        )
        become(obj, saved)

    @admin.action(description="End: as the plans say", permissions=["change"])
    def end(self, request: HttpRequest, queryset: QuerySet[FeatureOverride]) -> None:
        self.act(
            request,
            queryset.select_related("subscription", "feature"),
            lambda row, doing: features.end_override(
                subscription=row.subscription, feature=row.feature, **doing
            ),
            "overrides ended",
        )


Cell = dict[str, Any]


def _matrix_of(tenant: Tenant) -> tuple[list[RatePlan], list[tuple[Feature, list[Cell]]]]:
    plans = list(RatePlan.objects.for_tenant(tenant).filter(archived_at=None).order_by("name"))
    granted = {
        (row.rate_plan_id, row.feature_id): row for row in PlanFeature.objects.for_tenant(tenant)
    }
    rows = Feature.objects.for_tenant(tenant).filter(archived_at=None).select_related("unit")
    return plans, [
        (feature, [_cell(plan, feature, granted.get((plan.pk, feature.pk))) for plan in plans])
        for feature in rows.order_by("key")
    ]


def _cell(plan: RatePlan, feature: Feature, row: PlanFeature | None) -> Cell:
    """What a plan has of a feature as people type it; empty: nothing."""
    text = ""
    if row is not None:
        limit = UNLIMITED if row.limit is None else plain(row.limit)
        text = {"BOOLEAN": "on", "LIMIT": limit, "VALUE": row.value}[feature.kind]
    label = f"{feature.key} in {plan.name}"
    return {"name": f"cell-{plan.pk}-{feature.pk}", "text": text, "label": label}


def _set(plan: RatePlan, feature: Feature, typed: str, doing: Doer) -> None:
    if not typed:
        features.take_from_plan(plan=plan, feature=feature, **doing)
        return
    grant = Grant()
    if feature.kind == Feature.Kind.VALUE:
        grant = Grant(value=typed)
    elif feature.kind == Feature.Kind.LIMIT and typed.lower() != UNLIMITED:
        grant = Grant(limit=_number(typed))
    features.grant_to_plan(plan=plan, feature=feature, grant=grant, **doing)


def _number(typed: str) -> Decimal:
    try:
        number = Decimal(typed.replace(",", ""))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise refused("limit", "INVALID", f"'{typed}' is neither a number nor '{UNLIMITED}'")
    return number
