"""The page on which an event is tried: what would become of it, step by step; nothing is kept."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from aforo.errors import AforoError
from aforo.money import plain
from aforo.tenancy import clock
from aforo.tenancy.admin_base import is_superuser, roles_of, tenants_of
from aforo.tenancy.models import Tenant
from metering.admin.base import as_json
from metering.ingest.envelopes import EVENTS, METER, NATIVE
from metering.ingest.normalising import Cover
from metering.services.trial_effects import Effect
from metering.services.trials import Trial, sender_of, try_event

EXAMPLE = """{
  "customerId": "cust_1",
  "metricName": "api_calls",
  "quantity": 1,
  "idempotencyKey": "try-1",
  "metadata": {"model": "large"}
}"""
MOST = 64 * 1024  # characters; an event has 16 KiB of metadata at most
_DOORS = {"/v1/ingest": NATIVE, "/v1/events": EVENTS, "/v1/meter": METER}
_LABELS = {
    "COUNTED": "text-green-700 dark:text-green-400",
    "PASSED": "text-green-700 dark:text-green-400",
    "REFUSED": "text-red-700 dark:text-red-400",
}
_OTHERWISE = "text-orange-700 dark:text-orange-400"


class TrialForm(forms.Form):
    """Whose event it is, by which door it comes, and what it says."""

    tenant = forms.ModelChoiceField(Tenant.objects.none(), widget=UnfoldAdminSelectWidget)
    door = forms.ChoiceField(
        choices=[(door, door) for door in _DOORS],
        widget=UnfoldAdminSelectWidget,
        help_text="doors differ in the spellings they take",
    )
    event = forms.CharField(
        max_length=MOST, widget=UnfoldAdminTextareaWidget(attrs={"rows": 12}), initial=EXAMPLE
    )

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.POST if request.method == "POST" else None)
        own = tenants_of(request)
        field = cast("forms.ModelChoiceField[Tenant]", self.fields["tenant"])
        field.queryset = own
        field.initial = own.first()

    def tried(self) -> Trial | None:
        """The outcome; None when the form or the body says what is wrong."""
        if not self.is_valid():
            return None
        tenant, given = self.cleaned_data["tenant"], self.cleaned_data
        cover = Cover(tenant_id=tenant.pk, envelope=_DOORS[given["door"]])
        try:
            return try_event(
                sender=sender_of(tenant),
                body=given["event"].encode(),
                cover=cover,
                now=clock.now(tenant),
            )
        except AforoError as error:
            self.add_error("event", error.detail)
            return None


def try_page(request: HttpRequest) -> HttpResponse:
    """The form, and below it what would become of the event."""
    if not (is_superuser(request) or roles_of(request)):
        raise PermissionDenied
    form = TrialForm(request)
    trial = form.tried() if request.method == "POST" else None
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Try an event"}
    context |= {"form": form, "trial": trial}
    if trial is not None:
        context |= {
            "verdict": _label(trial.verdict),
            "stored": as_json(trial.stored),
            "steps": _steps(trial),
            "effects": _effects(trial.effects),
        }
    return TemplateResponse(request, "metering/try_event.html", context)


def _steps(trial: Trial) -> dict[str, Any]:
    return {
        "headers": ["step", "verdict", "what it says", "took"],
        "rows": [
            [
                one.step,
                _label(one.verdict),
                f"{one.code}: {one.detail}" if one.code else one.detail,
                f"{one.microseconds / 1000:.3f} ms",
            ]
            for one in trial.steps
        ],
    }


def _effects(effects: list[Effect]) -> dict[str, Any]:
    return {
        "headers": ["unit", "customer", "price", "period", "quantity", "price so far", "adds"],
        "rows": [
            [
                one.unit.name,
                str(one.subscription.customer),
                str(one.version),
                str(one.period),
                f"{plain(one.quantity_before)} → {plain(one.quantity_after)}",
                f"{plain(one.price_before)} → {plain(one.price_after)}",
                f"{plain(one.revenue)} {one.subscription.currency}, cost {plain(one.cost)}",
            ]
            for one in effects
        ],
    }


def _label(verdict: str) -> SafeString:
    colour = _LABELS.get(verdict, _OTHERWISE)
    return format_html('<span class="font-semibold {}">{}</span>', colour, verdict)
