"""Corrections: what was taken back, and the page on which an event is voided or amended."""

from decimal import Decimal
from typing import Any

import msgspec
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from aforo.errors import AforoError
from aforo.money import plain
from aforo.spelling import on_the_wire
from aforo.tenancy import clock
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of, role_in
from aforo.tenancy.models import Tenant
from metering.admin.base import BoundedPaginator
from metering.admin.held import ReasonForm
from metering.models import Correction, UsageEvent
from metering.services.corrections import Corrected, amend_event, void_event

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KINDS = {Correction.Kind.VOID: "danger", Correction.Kind.AMEND: "info"}


class AmendForm(ReasonForm):
    """What is to be different; what is left as it is stays as it is."""

    quantity = forms.DecimalField(
        max_digits=36, decimal_places=12, widget=UnfoldAdminDecimalFieldWidget
    )
    occurred_at = forms.DateTimeField(widget=UnfoldAdminTextInputWidget, help_text="in UTC")
    metadata = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false"})
    )
    field_order = ("quantity", "occurred_at", "metadata", "reason")

    def clean_metadata(self) -> msgspec.Raw | None:
        """A JSON object as it was typed, so that no number in it is rounded; or nothing."""
        text: str = self.cleaned_data["metadata"]
        if not text:
            return None
        try:
            return msgspec.Raw(msgspec.json.encode(_object.decode(text)))
        except msgspec.DecodeError:
            raise forms.ValidationError("This is no JSON object.") from None

    def changes(self) -> dict[str, Any]:
        """What was changed, as an event spells it."""
        changed = [name for name in self.changed_data if name != "reason"]
        return {on_the_wire(name): self.cleaned_data[name] for name in changed}


@admin.register(Correction)
class CorrectionAdmin(ReadOnlyAdmin):
    """What was taken back, by whom and why; append-only."""

    list_display = (
        "idempotency_key",
        "tenant",
        "what",
        "reason",
        "actor_name",
        "running_total_id",
        "position",
        "void_position",
        "replacement_key",
        "created_at",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "kind", ("created_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("=idempotency_key", "=replacement_key", "=event_id", "=running_total_id")
    ordering = ("-id",)
    paginator = BoundedPaginator

    @display(description="kind", label=_KINDS, ordering="kind")
    def what(self, correction: Correction) -> str:
        return correction.kind

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.correct_view)
        own = path("event/<int:event_id>/<str:act>/", view, name="metering_correction_of_event")
        return [own, *super().get_urls()]

    def correct_view(self, request: HttpRequest, event_id: int, act: str) -> HttpResponse:
        """Void or amend one usage event, once a reason is given."""
        event = UsageEvent.objects.filter(pk=event_id).first()  # any tenant: the role is asked
        role = role_in(request, event.tenant_id) if event else ""
        if event is None or not role or act not in {"void", "amend"}:
            raise Http404
        if role not in self.write_roles:
            raise PermissionDenied
        form = _form(event, act, request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                corrected = _correct(request, event, form)
            except AforoError as refusal:
                form.add_error(None, refusal.detail)
            else:
                return self._told(request, event, corrected)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{act.capitalize()} a usage event",
            "act": act,
            "event": event,
            "quantity": plain(event.quantity),
            "form": form,
        }
        return TemplateResponse(request, "metering/correct.html", context)

    def _told(self, request: HttpRequest, event: UsageEvent, corrected: Corrected) -> HttpResponse:
        done = "amended" if corrected.replacements else "voided"
        self.message_user(request, f"Event {event.idempotency_key} {done}.", messages.SUCCESS)
        shown = corrected.replacements[0] if corrected.replacements else event
        return redirect("admin:metering_usageevent_change", shown.pk)


def _form(event: UsageEvent, act: str, given: Any) -> ReasonForm:
    if act == "void":
        return ReasonForm(given)
    stored = {
        "quantity": Decimal(plain(event.quantity)),
        "occurred_at": event.occurred_at,
        "metadata": event.metadata or "",
    }
    return AmendForm(given, initial=stored)


def _correct(request: HttpRequest, event: UsageEvent, form: ReasonForm) -> Corrected:
    tenant = Tenant.objects.get(pk=event.tenant_id)
    actor, now = actor_of(request, tenant), clock.now(tenant)
    reason = form.cleaned_data["reason"]
    if not isinstance(form, AmendForm):
        return void_event(tenant=tenant, event_id=event.pk, actor=actor, reason=reason, now=now)
    return amend_event(
        tenant=tenant,
        event_id=event.pk,
        changes=form.changes(),
        actor=actor,
        reason=reason,
        now=now,
    )
