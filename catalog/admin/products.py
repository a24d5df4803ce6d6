"""Products and billable units."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from aforo.tenancy.admin_base import TenantFilter, become, plainly
from aforo.tenancy.roles import CATALOG_WRITERS
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of
from catalog.admin.rows_table import ConditionsField, PairsField, WordsField
from catalog.admin.unit_templates import MadeFromTemplates
from catalog.models import BillableUnit, Product
from catalog.services import billable_units, products

PRODUCT_FIELDS = ("name", "type", "description", "lifecycle", "status", "metadata")
UNIT_FIELDS = (
    "name",
    "unit_label",
    "description",
    "aggregation",
    "event_field",
    "source_metric",
    "filter_conditions",
    "allowed_sources",
    "key_fields",
    "divide_by",
    "rounding",
    "rounding_places",
    "recurring",
    "tax_code",
    "unit_cost",
    "product_type",
)


class ProductForm(forms.ModelForm):
    metadata = PairsField(required=False, help_text="what you want to know of it; not priced by")

    class Meta:
        model = Product
        fields = ()  # the page names them

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        metadata = self.fields.get("metadata")
        if isinstance(metadata, PairsField):
            metadata.stored = self.instance.metadata


@admin.register(Product)
class ProductAdmin(CatalogAdmin):
    """What is sold."""

    form = ProductForm
    write_roles = CATALOG_WRITERS
    list_display = ("name", "tenant", "type", "lifecycle", "status", "created_at")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "type", "lifecycle", "status")
    search_fields = ("name", "description")
    autocomplete_fields = ("tenant",)
    fields = ("tenant", *PRODUCT_FIELDS)
    actions = ("archive",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "type")

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        if change:
            saved = products.edit_product(product=obj, edits=changed_fields(form), **doing)
        else:
            given = fields_of(obj, PRODUCT_FIELDS)
            saved = products.create_product(tenant=obj.tenant, **given, **doing)
        become(obj, saved)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda product, doing: products.archive_product(product=product, **doing),
            "products archived",
        )


class UnitForm(forms.ModelForm):
    filter_conditions = ConditionsField(required=False, help_text="all of them must hold")
    allowed_sources = WordsField(
        required=False, max_length=16, help_text="SDK, GATEWAY, FILE ...; empty: everybody"
    )
    key_fields = WordsField(
        required=False,
        max_length=200,
        help_text="fields that make the key of an event which comes without one",
    )

    class Meta:
        model = BillableUnit
        fields = (*UNIT_FIELDS, "products")


@admin.register(BillableUnit)
class BillableUnitAdmin(MadeFromTemplates):
    """What is counted."""

    write_roles = CATALOG_WRITERS
    list_display = (
        "name",
        "tenant",
        "aggregation",
        "source_metric",
        plainly("unit_cost"),
        "product_type",
        "archived_at",
    )
    list_select_related = ("tenant",)
    list_filter = (
        TenantFilter,
        "aggregation",
        "product_type",
        ("archived_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("name", "source_metric", "description")
    autocomplete_fields = ("tenant", "products")
    form = UnitForm
    fields = ("tenant", *UNIT_FIELDS, "products")
    actions = ("archive",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "product_type")

    def save_model(self, request: HttpRequest, obj: BillableUnit, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        owners = list(form.cleaned_data["products"])
        if change:
            edits = {
                field: value for field, value in changed_fields(form).items() if field != "products"
            }
            saved = billable_units.edit_unit(unit=obj, edits=edits, products=owners, **doing)
        else:
            given = fields_of(obj, UNIT_FIELDS)
            saved = billable_units.create_unit(tenant=obj.tenant, products=owners, **given, **doing)
        become(obj, saved)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[BillableUnit]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda unit, doing: billable_units.archive_unit(unit=unit, **doing),
            "billable units archived",
        )
