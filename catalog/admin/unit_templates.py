"""Billable units from templates: choose what is sold, tick what is to be counted."""

from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.decorators import action

from aforo.errors import AforoError
from aforo.tenancy.admin_base import tenants_of
from aforo.tenancy.models import Tenant
from catalog.admin.base import CatalogAdmin
from catalog.metric_templates import TEMPLATES, MetricTemplate
from catalog.models import BillableUnit
from catalog.models.billable_units import Aggregation
from catalog.models.products import ProductType
from catalog.services.billable_units import create_from_templates, templates_of


@dataclass(frozen=True, slots=True)
class Offered:
    """A template, and whether the tenant has a unit of its name already."""

    template: MetricTemplate
    aggregation: str
    is_there: bool


class MadeFromTemplates(CatalogAdmin):
    """For the list of billable units: a page that makes several at once."""

    actions_list = ("from_templates",)

    @action(
        description="From templates",
        url_path="from-templates",
        icon="library_add",
        permissions=["add"],
    )
    def from_templates(self, request: HttpRequest) -> HttpResponse:
        """The templates of one product type, for a tenant whose catalog may be written."""
        tenants = list(tenants_of(request, self.write_roles).order_by("name"))
        asked = request.POST if request.method == "POST" else request.GET
        named = asked.get("tenant")
        tenant = next((one for one in tenants if named in {None, one.slug}), None)
        if tenant is None:
            raise PermissionDenied
        product_type = asked.get("product_type", ProductType.API)
        try:
            offered = _offered(tenant, product_type)
            if request.method == "POST":
                return self._create(request, tenant, product_type)
        except AforoError as refusal:
            messages.error(request, refusal.detail)
            return redirect("admin:catalog_billableunit_from_templates")
        types = [(one.value, one.label) for one in ProductType if one in TEMPLATES]
        chosen: dict[str, object] = {
            "tenants": tenants,
            "tenant": tenant,
            "types": types,
            "chosen": product_type,
        }
        return self.page(
            request,
            "catalog/unit_templates.html",
            "Units from templates",
            offered=offered,
            **chosen,
        )

    def _create(self, request: HttpRequest, tenant: Tenant, product_type: str) -> HttpResponse:
        names = request.POST.getlist("names")
        create_from_templates(
            tenant=tenant,
            product_type=product_type,
            template_names=names,
            **self.doer(request, tenant),
        )
        said = f"{len(names)} billable unit{'' if len(names) == 1 else 's'} from templates."
        self.message_user(request, said, messages.SUCCESS if names else messages.WARNING)
        return redirect("admin:catalog_billableunit_changelist")


def _offered(tenant: Tenant, product_type: str) -> list[Offered]:
    templates = templates_of(product_type)
    names = [template.name for template in templates]
    own = BillableUnit.objects.for_tenant(tenant).filter(name__in=names)
    there = set(own.values_list("name", flat=True))
    return [
        Offered(template, Aggregation(template.aggregation).label, template.name in there)
        for template in templates
    ]
