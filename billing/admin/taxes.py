"""The table of tax rates, and drafts that wait for an external engine."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from aforo.tenancy import clock
from aforo.tenancy.admin_base import TenantFilter, TenantScopedAdmin, actor_of, become, plainly
from billing.models import Invoice, TaxRate
from billing.taxes import rates
from billing.taxes.settling import ask_again
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of, told

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


class AsksTaxEngine(TenantScopedAdmin):
    """For the page of invoices: have the engine asked again about drafts without their tax."""

    def has_ask_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.action(description="Ask the tax engine again", permissions=["ask"])
    def ask_tax_engine(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> None:
        asked = 0
        for draft in queryset.select_related("tenant").order_by("created_at", "id"):
            if not self.may_write(request, draft):
                continue
            with told(request):
                actor = actor_of(request, draft.tenant)
                ask_again(invoice=draft, actor=actor, now=clock.now(draft.tenant))
                asked += 1
        self.message_user(request, f"the engine is asked about {asked} drafts", messages.SUCCESS)
