"""Billing entities: who invoices, their taxes and their papers."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget

from aforo.tenancy.admin_base import TenantFilter, become
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of, told
from catalog.models import BillingEntity
from catalog.services import billing_entities

ENTITY_FIELDS = ("code", "currency", *billing_entities.EDITABLE, "is_default")


class BillingEntityForm(forms.ModelForm):
    picture = forms.FileField(
        label="Logo",
        required=False,
        help_text="PNG, JPEG or SVG, up to 200 kB; takes the place of the one before",
        widget=UnfoldAdminFileFieldWidget,
    )

    class Meta:
        model = BillingEntity
        fields = ()  # the page names them
        labels = {"tax_url": "Tax engine's address"}
        help_texts = {
            "time_zone": "where days and billing periods begin",
            "country": "where taxes are owed at home, and whose paper size is used",
            "tax_number": "as it is printed; in the EU the VAT number",
            "payment_terms_days": "from issue until an invoice is due",
            "tax_url": "of an engine over HTTP; with the others empty",
            "accent_color": "such as #0b6e5f",
            "footer": "the last word of every invoice",
        }


@admin.register(BillingEntity)
class BillingEntityAdmin(CatalogAdmin):
    """Who invoices; code and currency stay."""

    form = BillingEntityForm
    list_display = (
        "code",
        "display_name",
        "tenant",
        "currency",
        "country",
        "tax_engine",
        "time_zone",
        "is_default",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "currency", "tax_engine", "is_default")
    search_fields = ("code", "display_name", "legal_name")
    autocomplete_fields = ("tenant",)
    readonly_fields = ("has_logo", "has_secret")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "tenant", "code", "display_name", "legal_name", "currency", "time_zone",
                    "country", "region", "address", "tax_number", "is_default",
                )
            },
        ),
        ("Invoices", {"fields": ("invoice_prefix", "payment_terms_days", "grace_days")}),
        (
            "Taxes",
            {"fields": ("tax_engine", "tax_inclusive", "tax_url", "has_secret")},
        ),
        ("Papers", {"fields": ("accent_color", "footer", "picture", "has_logo")}),
    )  # fmt: skip
    actions = ("draw_tax_secret", "remove_logo")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        fixed = () if obj is None else ("tenant", "code", "currency", "is_default")
        return (*self.readonly_fields, *fixed)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        scheme = {"assume_scheme": "https"} if db_field.name == "tax_url" else {}
        return super().formfield_for_dbfield(db_field, request, **kwargs, **scheme)

    @display(description="has a logo", boolean=True)
    def has_logo(self, entity: BillingEntity) -> bool:
        return bool(entity.logo)

    @display(description="has a secret for its engine", boolean=True)
    def has_secret(self, entity: BillingEntity) -> bool:
        return entity.tax_secret is not None

    def save_model(self, request: HttpRequest, obj: BillingEntity, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        picture = form.cleaned_data.get("picture")
        if change:
            edits = {name: to for name, to in changed_fields(form).items() if name != "picture"}
            saved = billing_entities.edit_entity(entity=obj, edits=edits, **doing)
        else:
            given = fields_of(obj, ENTITY_FIELDS)
            saved = billing_entities.create_entity(tenant=obj.tenant, **given, **doing)
        if picture:
            saved = billing_entities.set_logo(entity=saved, picture=picture.read(), **doing)
        become(obj, saved)

    @admin.action(description="Draw another secret for the tax engine", permissions=["change"])
    def draw_tax_secret(self, request: HttpRequest, queryset: QuerySet[BillingEntity]) -> None:
        for entity in queryset.select_related("tenant"):
            if not self.has_change_permission(request, entity):
                continue
            with told(request):
                secret = billing_entities.rotate_tax_secret(
                    entity=entity, **self.doer(request, entity.tenant)
                )
                self.message_user(
                    request, f"{entity}: {secret} (shown this once)", messages.WARNING
                )

    @admin.action(description="Remove the logo", permissions=["change"])
    def remove_logo(self, request: HttpRequest, queryset: QuerySet[BillingEntity]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda entity, doing: billing_entities.set_logo(entity=entity, picture=b"", **doing),
            "logos removed",
        )
