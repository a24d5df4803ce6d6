"""What was sent to endpoints with every request and answer, and sending it again."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import StackedInline
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import action, display

from aforo.tenancy.admin_base import (
    OwnRelatedFilter,
    ReadOnlyAdmin,
    TenantFilter,
    actor_of,
    after_dialog,
)
from aforo.tenancy.roles import KEY_WRITERS
from catalog.admin.base import told
from metering.admin.base import BoundedPaginator
from webhooks.models import DeliveryAttempt, OutboundDelivery
from webhooks.services import redeliveries

_NAMES = ("number", "title", "name", "customerId")  # members of payloads
_STATES = {
    OutboundDelivery.State.PENDING: "warning",
    OutboundDelivery.State.DELIVERED: "success",
    OutboundDelivery.State.FAILED: "danger",
}


class AttemptInline(StackedInline):
    """Every request, and what was answered."""

    model = DeliveryAttempt
    extra = 0
    can_delete = False
    fields = ("began", "came_of_it", "request_headers", "request_body", "answer")
    readonly_fields = fields

    @display(description="began")
    def began(self, attempt: DeliveryAttempt) -> str:
        seconds = f"{attempt.started_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{seconds}, took {attempt.milliseconds} ms"

    @display(description="came of it")
    def came_of_it(self, attempt: DeliveryAttempt) -> str:
        """What was answered, and what was wrong with it."""
        answered = f"answered {attempt.status}" if attempt.status else "no answer"
        return f"{answered}: {attempt.error}" if attempt.error else answered

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever sees the page sees its rows


@admin.register(OutboundDelivery)
class OutboundDeliveryAdmin(ReadOnlyAdmin):
    """What was sent, what was answered, and sending it again."""

    write_roles = KEY_WRITERS
    list_display = (
        "created_at",
        "fact",
        "about",
        "endpoint",
        "tenant",
        "result",
        "last_try",
        "next_try",
    )
    list_select_related = ("tenant", "endpoint", "message")
    list_filter = (
        TenantFilter,
        "state",
        "fact",
        ("endpoint", OwnRelatedFilter),
        ("created_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("subject", "=id")
    ordering = ("-id",)  # ids rise with time, and have an index
    paginator = BoundedPaginator
    inlines = (AttemptInline,)
    exclude = ("retry_step", "subject")
    readonly_fields = ("about",)
    actions = ("send_again",)
    actions_detail = ("send_this_again",)

    @display(description="about", ordering="subject")
    def about(self, delivery: OutboundDelivery) -> str:
        """What people know it by, where the message says so; else its id."""
        said = delivery.message.payload
        named = (said.get(name) for name in _NAMES)
        return next((str(name) for name in named if name), delivery.subject or "-")

    @display(description="last try")
    def last_try(self, delivery: OutboundDelivery) -> str:
        """Which it was, and what came of it."""
        answered = f"answered {delivery.last_status}" if delivery.last_status else ""
        came = delivery.last_error or answered
        if not delivery.attempt_count:
            return came or "none yet"
        return f"{delivery.attempt_count}: {came or 'taken'}"

    @display(description="next try", ordering="next_attempt_at")
    def next_try(self, delivery: OutboundDelivery) -> Any:
        is_pending = delivery.state == OutboundDelivery.State.PENDING
        return delivery.next_attempt_at if is_pending else None

    @display(description="state", label=_STATES, ordering="state")
    def result(self, delivery: OutboundDelivery) -> str:
        return delivery.state

    def has_send_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether whoever asks may send something again, or this."""
        delivery = self.get_object(request, object_id) if object_id else None
        return self.may_write(request, delivery)

    @admin.action(description="Send again", permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboundDelivery]) -> None:
        done = sum(self._send(request, row) for row in queryset.select_related("tenant"))
        self.message_user(request, f"{done} deliveries are sent again", messages.SUCCESS)

    @action(
        description="Send again",
        permissions=["send"],
        url_path="send",
        icon="replay",
        dialog={
            "title": "Send this again?",
            "description": "At once, whatever became of it, with the same id and body as before.",
            "form_class": None,
            "form_submit_text": "Send again",
        },
    )
    def send_this_again(
        self, request: HttpRequest, form: forms.Form, object_id: str
    ) -> HttpResponse:
        delivery = self.get_object(request, object_id)
        if delivery is None:
            raise PermissionDenied
        if self._send(request, delivery):
            self.message_user(request, "It is sent again", messages.SUCCESS)
        page = reverse("admin:webhooks_outbounddelivery_change", args=(object_id,))
        return after_dialog(request, page)

    def _send(self, request: HttpRequest, delivery: OutboundDelivery) -> bool:
        """Whether it is sent again; a refusal is said on the page."""
        if not self.may_write(request, delivery):
            return False
        with told(request):
            actor = actor_of(request, delivery.tenant_id)
            redeliveries.redeliver(delivery=delivery, actor=actor, now=timezone.now())
            return True
        return False
