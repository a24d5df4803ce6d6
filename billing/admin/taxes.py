"""The table of tax rates: grows at its end; rates in use only end."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from aforo.tenancy.admin_base import TenantFilter, become, plainly
from billing.models import TaxRate
from billing.taxes import rates
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of

KEY_FIELDS = ("name", "country", "region", "tax_code")
RATE_FIELDS = (*KEY_FIELDS, "percent", "valid_from", "valid_until")


@admin.register(TaxRate)
class TaxRateAdmin(CatalogAdmin):
    """A rate is added from a day on; the one before it ends there."""

    list_display = (
        "name",
        "country",
        "region",
        "tax_code",
        plainly("percent"),
        "valid_from",
        "valid_until",
        "tenant",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "country", "name")
    search_fields = ("name", "country", "region", "tax_code")
    autocomplete_fields = ("tenant",)
    fields = ("tenant", *RATE_FIELDS)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", *KEY_FIELDS)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request, obj)

    def save_model(self, request: HttpRequest, obj: TaxRate, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        if change:
            saved = rates.change_rate(rate=obj, edits=changed_fields(form), **doing)
        else:
            given = fields_of(obj, RATE_FIELDS)
            saved = rates.add_rate(tenant=obj.tenant, **given, **doing)
        become(obj, saved)

    def delete_model(self, request: HttpRequest, obj: TaxRate) -> None:
        rates.remove_rate(rate=obj, **self.doer(request, obj.tenant))
