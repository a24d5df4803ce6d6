"""Refused events: found, understood, mended, sent again or given up."""

from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import action, display

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of
from aforo.tenancy.roles import USAGE_WRITERS
from metering.admin.base import BoundedPaginator, RecentValuesFilter, as_json, json_text
from metering.admin.letter_acts import LetterActs
from metering.admin.letter_forms import EventForm
from metering.admin.letter_overview import counted, table_of, tenants_with_letters
from metering.models import DeadLetter, LetterDecision
from metering.refusals import NOT_REPLAYABLE, REASONS
from metering.selectors.letters import LetterSummary, summary
from metering.services import letters

_STATES = {
    DeadLetter.Status.OPEN: "danger",
    DeadLetter.Status.REPLAYED: "success",
    DeadLetter.Status.DISCARDED: "info",
    DeadLetter.Status.EXPIRED: "warning",
}


@admin.register(DeadLetter)
class DeadLetterAdmin(LetterActs, ReadOnlyAdmin):
    """Refused events, whole, by reason and metric."""

    write_roles = USAGE_WRITERS
    list_display = (
        "code",
        "metric",
        "customer",
        "tenant",
        "state",
        "occurrences",
        "detail",
        "received_at",
        "last_seen_at",
    )
    list_select_related = ("tenant",)
    list_filter = (
        TenantFilter,
        "status",
        ("code", RecentValuesFilter),
        ("source", RecentValuesFilter),
        ("received_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("^metric", "=code", "=customer", "=batch_id")
    ordering = ("-id",)  # ids rise with time, and have an index
    paginator = BoundedPaginator
    actions = ("replay", "discard")
    actions_list = ("overview",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("edited") if "/change/" in request.path else rows.defer("event", "edited")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("decide/", view(self.decide_view), name="metering_deadletter_decide"),
            path("unit/", view(self.unit_view), name="metering_deadletter_unit"),
        ]
        return [*own, *super().get_urls()]

    @display(description="status", label=_STATES, ordering="status")
    def state(self, letter: DeadLetter) -> str:
        return letter.status

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.action(description="Replay", permissions=["decide"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse:
        return self.ask_about(request, queryset, LetterDecision.Act.REPLAY)

    @admin.action(description="Discard", permissions=["decide"])
    def discard(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse:
        return self.ask_about(request, queryset, LetterDecision.Act.DISCARD)

    @action(description="By what is wrong", url_path="overview", icon="category")
    def overview(self, request: HttpRequest) -> HttpResponse:
        """What is open, by code and metric, of one tenant at a time."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        tenants = list(tenants_with_letters(request))
        asked = request.GET.get("tenant")
        tenant = next((one for one in tenants if one.slug == asked), None)
        if tenant is None and tenants and asked is None:
            tenant = tenants[0]
        found = summary(tenant=tenant) if tenant else None
        return self.page(
            request,
            "metering/letters_overview.html",
            "Open dead letters by what is wrong",
            tenants=tenants,
            tenant=tenant,
            told=_told(found) if found else "",
            table=table_of(request, tenant, found) if tenant and found else None,
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One letter: its event, why it was refused, and what can be done about it."""
        letter = cast(DeadLetter | None, self.get_object(request, object_id))
        if letter is None:
            return cast(
                HttpResponse,
                self._get_obj_does_not_exist_redirect(request, self.opts, object_id),
            )
        form = EventForm(initial={"event": json_text(letter.edited or letter.event)})
        if request.method == "POST":
            form = EventForm(request.POST)
            done = self._do(request, letter, form)
            if done:
                self.message_user(request, done, messages.SUCCESS)
                return redirect("admin:metering_deadletter_change", letter.pk)
        is_open = letter.status == DeadLetter.Status.OPEN and self.may_write(request, letter)
        return self.page(
            request,
            "metering/letters_letter.html",
            f"{letter.code}: {letter.detail}"[:120],
            letter=letter,
            reason=REASONS.get(letter.code),
            state_color=_STATES[DeadLetter.Status(letter.status)],
            event=as_json(letter.event),
            edited=as_json(letter.edited),
            facts=_facts(letter),
            form=form,
            may_decide=is_open,
            may_replay=is_open and letter.code not in NOT_REPLAYABLE,
        )

    def _do(self, request: HttpRequest, letter: DeadLetter, form: EventForm) -> str:
        """Carry out the button that was pressed; what was done, or "" and the form says why not."""
        pressed = {"save", "replay", "discard"} & request.POST.keys()
        if not pressed or not self.may_write(request, letter):
            raise PermissionDenied
        named: dict[str, Any] = {
            "letter": letter,
            "actor": actor_of(request, letter.tenant),
            "now": clock.now(letter.tenant),
            "reason": request.POST.get("reason", ""),
        }
        try:
            if "discard" in pressed:
                letters.discard_letter(**named)
                return "The letter is discarded."
            if "replay" in pressed:
                letters.replay_letter(**named)
                return "Its events are sent again."
            if form.is_valid():
                letters.edit_letter(event=form.cleaned_data["event"].encode(), **named)
                return "A replay sends this event instead."
        except AforoError as refusal:
            form.is_valid()
            form.add_error("event" if "save" in pressed else None, refusal.detail)
        return ""


def _told(found: LetterSummary) -> str:
    letters_open = counted(found.letters, "open letter")
    return f"{letters_open}, for {counted(found.events, 'event')} in all"


def _facts(letter: DeadLetter) -> list[tuple[str, object, str]]:
    """What else is known: a name, a value, and a page about it."""
    receipts = reverse("admin:metering_receipt_changelist")
    found: list[tuple[str, object, str]] = [
        ("Events it stands for", letter.occurrences, ""),
        ("Customer", letter.customer, ""),
        ("Metric", letter.metric, ""),
        ("Source", letter.source, ""),
        ("First received", letter.received_at, ""),
        ("Last seen", letter.last_seen_at, ""),
        ("Batch", f"{letter.batch_id} at {letter.batch_index}", f"{receipts}?q={letter.batch_id}"),
        ("Decided", letter.decided_at or "", ""),
        ("Decided by", letter.decided_by, ""),
        ("Reason", letter.reason, ""),
        ("Sent again in", letter.replay_batch_id or "", _page_of(letter.replay_batch_id, receipts)),
    ]
    return [fact for fact in found if fact[1] != ""]


def _page_of(batch_id: UUID | None, receipts: str) -> str:
    return f"{receipts}?q={batch_id}" if batch_id else ""
