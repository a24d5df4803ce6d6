"""Late events of periods that are billed already: the queue in which they wait for a decision."""

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from aforo.money import ZERO, plain
from aforo.tenancy import clock
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of
from aforo.tenancy.models import Tenant
from metering.admin.base import BoundedPaginator, as_json, customer_name, unit_name
from metering.models import HeldEvent
from metering.services.held import decide_events

MOST_CHOSEN = 10_000  # ticked in the list; more are decided over the API, by a filter
Status = HeldEvent.Status
_STATES = {Status.WAITING: "warning", Status.ACCEPTED: "success", Status.WAIVED: "info"}
_ACTS = {"accept": Status.ACCEPTED, "waive": Status.WAIVED}


class ReasonForm(forms.Form):
    """Why: kept with each event, and in the audit log."""

    reason = forms.CharField(
        max_length=1_000,
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept with each event, and in the audit log.",
    )


@admin.register(HeldEvent)
class HeldEventAdmin(ReadOnlyAdmin):
    """Late events of periods that are billed already, accepted or waived."""

    list_display = (
        "idempotency_key",
        "customer",
        "metric",
        "unit",
        "tenant",
        "state",
        "amount_used",
        "occurred_at",
        "received_at",
        "decided_by",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "status", ("received_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("=idempotency_key", "^metric", "=batch_id", "=running_total_id")
    ordering = ("-id",)
    paginator = BoundedPaginator
    exclude = ("event", "quantity")
    readonly_fields = ("customer", "unit", "amount_used", "held_event")
    actions = ("accept", "waive")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        named = rows.annotate(customer_name=customer_name(), unit_name=unit_name())
        return cast(QuerySet[Any], named)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        own = path("decide/<str:act>/", view, name="metering_heldevent_decide")
        return [own, *super().get_urls()]

    @display(description="status", label=_STATES, ordering="status")
    def state(self, held: HeldEvent) -> str:
        return held.status

    @display(description="customer")
    def customer(self, held: Any) -> str:
        return held.customer_name or ""

    @display(description="unit")
    def unit(self, held: Any) -> str:
        return held.unit_name or ""

    @display(description="quantity", ordering="quantity")
    def amount_used(self, held: HeldEvent) -> str:
        return plain(held.quantity)

    @display(description="event")
    def held_event(self, held: HeldEvent) -> SafeString | str:
        return as_json(held.event)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.action(description="Accept: bill with the next invoice", permissions=["decide"])
    def accept(self, request: HttpRequest, queryset: QuerySet[HeldEvent]) -> HttpResponse:
        return self._ask(request, "accept", queryset, ReasonForm())

    @admin.action(description="Waive: never bill", permissions=["decide"])
    def waive(self, request: HttpRequest, queryset: QuerySet[HeldEvent]) -> HttpResponse:
        return self._ask(request, "waive", queryset, ReasonForm())

    def decide_view(self, request: HttpRequest, act: str) -> HttpResponse:
        """Decide what was ticked, tenant by tenant, once a reason is given."""
        if act not in _ACTS or request.method != "POST":
            raise Http404
        if not self.may_write(request):
            raise PermissionDenied
        rows = self.get_queryset(request).filter(pk__in=_ids(request.POST.get("ids", "")))
        form = ReasonForm(request.POST)
        if not form.is_valid():
            return self._ask(request, act, rows, form)
        count = 0
        for tenant in Tenant.objects.filter(pk__in=rows.order_by().values("tenant")):
            if self.may_write(request, tenant):
                count += decide_events(
                    tenant=tenant,
                    chosen=HeldEvent.objects.for_tenant(tenant).filter(pk__in=rows.values("pk")),
                    status=_ACTS[act],
                    actor=actor_of(request, tenant),
                    reason=form.cleaned_data["reason"],
                    now=clock.now(tenant),
                )
        done = "accepted" if act == "accept" else "waived"
        self.message_user(request, f"{count} event{'' if count == 1 else 's'} {done}.")
        return redirect("admin:metering_heldevent_changelist")

    def _ask(
        self, request: HttpRequest, act: str, queryset: QuerySet[HeldEvent], form: ReasonForm
    ) -> HttpResponse:
        waiting = queryset.filter(status=Status.WAITING).order_by("pk")
        ids = list(waiting.values_list("pk", flat=True)[: MOST_CHOSEN + 1])
        if not ids or len(ids) > MOST_CHOSEN:
            text = "Nothing that waits is chosen." if not ids else "That is too many at once."
            self.message_user(request, text, messages.ERROR)
            return redirect("admin:metering_heldevent_changelist")
        used = waiting.order_by().aggregate(used=Sum("quantity"))["used"]
        context = {
            **self.admin_site.each_context(request),
            "title": "Accept held events" if act == "accept" else "Waive held events",
            "act": act,
            "ids": " ".join(map(str, ids)),
            "count": len(ids),
            "quantity": plain(used or ZERO),
            "form": form,
        }
        return TemplateResponse(request, "metering/held_decide.html", context)


def _ids(text: str) -> list[UUID]:
    try:
        return [UUID(one) for one in text.split()]
    except ValueError:
        raise Http404 from None
