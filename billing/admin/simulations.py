"""Simulations in the admin: a scenario is chosen or uploaded, and what came of it is shown."""

from typing import Any, cast

import msgspec
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.admin_base import (
    ReadOnlyAdmin,
    TenantFilter,
    actor_of,
    is_superuser,
    roles_of,
    tenants_of,
)
from aforo.tenancy.models import Tenant
from billing.models import Simulation
from billing.simulations import library
from billing.simulations.requests import ask_for_simulation, progress_of

MOST = 4 * 1024 * 1024  # bytes of an uploaded scenario
_STATES = {
    Simulation.Status.QUEUED: "info",
    Simulation.Status.RUNNING: "info",
    Simulation.Status.PASSED: "success",
    Simulation.Status.FAILED: "danger",
    Simulation.Status.BROKEN: "warning",
}
_VERDICTS = {
    "PASS": "text-green-700 dark:text-green-400",
    "FAIL": "text-red-700 dark:text-red-400",
}


class SimulationForm(forms.Form):
    """Whose catalog permissions count, and which scenario."""

    tenant = forms.ModelChoiceField(Tenant.objects.none(), widget=UnfoldAdminSelectWidget)
    scenario = forms.ChoiceField(
        required=False, widget=UnfoldAdminSelectWidget, help_text="one that comes with Aforo"
    )
    file = forms.FileField(
        required=False, widget=UnfoldAdminFileFieldWidget, help_text="or one of your own, as JSON"
    )

    def __init__(self, request: HttpRequest) -> None:
        posted = request.method == "POST"
        super().__init__(request.POST if posted else None, request.FILES if posted else None)
        own = tenants_of(request)
        field = cast("forms.ModelChoiceField[Tenant]", self.fields["tenant"])
        field.queryset, field.initial = own, own.first()
        names = [("", "---------"), *((name, name) for name in library.names())]
        cast(forms.ChoiceField, self.fields["scenario"]).choices = names

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if bool(given.get("scenario")) == bool(given.get("file")):
            raise forms.ValidationError("choose a scenario or upload one")
        if given.get("file"):
            given["mapping"] = self._uploaded(given["file"])
        elif given.get("scenario"):
            given["mapping"] = library.mapping(given["scenario"])
        return given

    def _uploaded(self, file: UploadedFile) -> dict[str, Any]:
        if (file.size or 0) > MOST:
            raise forms.ValidationError({"file": "a scenario has 4 MiB at most"})
        try:
            mapping: dict[str, Any] = msgspec.json.decode(file.read(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise forms.ValidationError({"file": f"this is no JSON object: {error}"}) from None
        return mapping

    def asked(self, request: HttpRequest) -> Simulation | None:
        """The simulation; None when the form says what is wrong."""
        if not self.is_valid():
            return None
        tenant = self.cleaned_data["tenant"]
        mapping = self.cleaned_data["mapping"]
        actor, now = actor_of(request, tenant), clock.now(tenant)
        try:
            return ask_for_simulation(tenant=tenant, mapping=mapping, actor=actor, now=now)
        except AforoError as error:
            self.add_error(None, error.detail)
            return None


@admin.register(Simulation)
class SimulationAdmin(ReadOnlyAdmin):
    """What was simulated, with every expectation beside what came out."""

    list_display = ("name", "tenant", "state", "done", "created_at", "completed_at")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "status")
    search_fields = ("name",)
    fields = ("tenant", "name", "state", "done", "error", "seed", "expectations", "invoices")
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.simulate)
        return [path("simulate", page, name="billing_simulate"), *super().get_urls()]

    def simulate(self, request: HttpRequest) -> HttpResponse:
        """The form; what was asked for is shown on its own page."""
        if not (is_superuser(request) or roles_of(request)):
            raise PermissionDenied
        form = SimulationForm(request)
        row = form.asked(request) if request.method == "POST" else None
        if row is not None:
            self.message_user(request, f"'{row}' is being simulated", messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:billing_simulation_change", args=[row.pk]))
        context = {**self.admin_site.each_context(request), "title": "Simulate", "form": form}
        return TemplateResponse(request, "billing/simulate.html", context)

    @display(description="status", label=_STATES, ordering="status")
    def state(self, row: Simulation) -> str:
        return row.status

    @display(description="done")
    def done(self, row: Simulation) -> str:
        return f"{progress_of(row)} %"

    @display(description="expectations")
    def expectations(self, row: Simulation) -> SafeString:
        found = (row.report or {}).get("expectations", [])
        return format_html_join("", "{}", ((_finding(one),) for one in found))

    @display(description="invoices")
    def invoices(self, row: Simulation) -> SafeString:
        found = (row.report or {}).get("invoices", [])
        return format_html_join("", "{}", ((_invoice(one),) for one in found))


def _finding(finding: dict[str, Any]) -> SafeString:
    said = format_html(
        '<p class="mb-1"><strong class="{}">{}</strong> {}</p>',
        _VERDICTS[finding["verdict"]],
        finding["verdict"],
        finding["name"],
    )
    if finding["verdict"] == "PASS":
        return said
    return format_html(
        '{}<div class="mb-4 ml-8">expected {}<br>came out {}</div>',
        said,
        _shown(finding["expected"]),
        _shown(finding["actual"]),
    )


def _invoice(invoice: dict[str, Any]) -> SafeString:
    lines = format_html_join(
        "",
        '<tr><td class="pr-8">{}</td><td class="text-right">{}</td></tr>',
        ((line["description"], line["amount"]) for line in invoice["lines"]),
    )
    return format_html(
        '<div class="mb-6"><p><strong>{}</strong>, {} to {}, {} {}</p><table>{}</table></div>',
        invoice["customerExternalId"],
        str(invoice["periodStart"])[:10],
        str(invoice["periodEnd"])[:10],
        invoice["total"],
        invoice["currency"],
        lines,
    )


def _shown(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()[:4_000]
