"""Customers, and the other names that events know them by."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from aforo.tenancy.admin_base import TenantFilter, become
from catalog.admin.base import CatalogAdmin, ReadOnlyInline, changed_fields, fields_of
from catalog.models import Customer, CustomerAlias, Subscription
from catalog.services import customers

CUSTOMER_FIELDS = (
    "external_id",
    "name",
    "email",
    "account_manager_email",
    "currency",
    "country",
    "region",
    "address",
    "tax_number",
    "tax_exempt",
    "language",
    "parent",
)


class AliasInline(ReadOnlyInline):
    model = CustomerAlias
    fields = ("kind", "name", "created_at")
    readonly_fields = fields

    @display(description="name")
    def name(self, alias: CustomerAlias) -> str:
        return str(alias)


class SubscriptionInline(ReadOnlyInline):
    model = Subscription
    fields = ("offering", "state", "currency", "start_at", "end_at")
    readonly_fields = fields


@admin.register(Customer)
class CustomerAdmin(CatalogAdmin):
    """Who pays."""

    list_display = (
        "external_id",
        "name",
        "tenant",
        "email",
        "currency",
        "created_at",
        "archived_at",
    )
    list_select_related = ("tenant",)
    list_filter = (
        TenantFilter,
        "currency",
        "country",
        ("archived_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("external_id", "name", "email")
    autocomplete_fields = ("tenant", "parent")
    fields = ("tenant", *CUSTOMER_FIELDS)
    inlines = (SubscriptionInline, AliasInline)
    actions = ("archive",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "external_id")

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        if change:
            saved = customers.edit_customer(customer=obj, edits=changed_fields(form), **doing)
        else:
            given = fields_of(obj, CUSTOMER_FIELDS)
            saved = customers.create_customer(tenant=obj.tenant, **given, **doing)
        become(obj, saved)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda customer, doing: customers.archive_customer(customer=customer, **doing),
            "customers archived",
        )


class AliasForm(forms.ModelForm):
    """The value is asked for here; only its hash is stored when it may be a secret."""

    value = forms.CharField(max_length=1000, strip=False, widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = CustomerAlias
        fields = ("customer", "kind")


@admin.register(CustomerAlias)
class CustomerAliasAdmin(CatalogAdmin):
    """Aliases are added and removed, never changed."""

    form = AliasForm
    list_display = ("__str__", "customer", "tenant", "kind", "created_at")
    list_select_related = ("tenant", "customer")
    list_filter = (TenantFilter, "kind")
    search_fields = ("label", "customer__external_id", "customer__name")
    autocomplete_fields = ("customer",)
    fields = ("customer", "kind", "value")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request, obj)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        shown = ("tenant", "customer", "kind", "label", "created_at")
        return self.fields if obj is None else shown

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: CustomerAlias, form: Any, change: bool) -> None:
        customer = form.cleaned_data["customer"]
        alias = customers.add_alias(
            customer=customer,
            value=form.cleaned_data["value"],
            kind=obj.kind,
            **self.doer(request, customer.tenant),
        )
        become(obj, alias)

    def delete_model(self, request: HttpRequest, obj: CustomerAlias) -> None:
        customers.remove_alias(alias=obj, **self.doer(request, obj.tenant))
