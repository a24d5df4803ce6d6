"""What was pushed, with what was made of it, and mapping it again."""

from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import action, display

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.admin_base import (
    OwnRelatedFilter,
    ReadOnlyAdmin,
    TenantFilter,
    actor_of,
    after_dialog,
)
from aforo.tenancy.roles import KEY_WRITERS
from metering.admin.base import BoundedPaginator, as_json
from webhooks.models import WebhookDelivery
from webhooks.selectors import of_batch
from webhooks.services.pushes import payload_of
from webhooks.services.replays import REPLAYABLE, replay_delivery

Found = tuple[QuerySet[Any], bool]
Verdict = WebhookDelivery.Verdict
_VERDICTS = {
    Verdict.RECEIVED: "info",
    Verdict.ACCEPTED: "success",
    Verdict.DUPLICATE: "info",
    Verdict.FILTERED: "info",
    Verdict.UNMAPPED: "warning",
    Verdict.UNREADABLE: "warning",
    Verdict.BAD_SIGNATURE: "danger",
    Verdict.STALE: "danger",
}


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """Every push as it came, and what was made of it."""

    write_roles = KEY_WRITERS
    list_display = (
        "arrived_at",
        "source",
        "tenant",
        "result",
        "event_type",
        "event_count",
        "refused_count",
        "detail",
    )
    list_select_related = ("tenant", "source")
    list_filter = (
        TenantFilter,
        "verdict",
        ("source", OwnRelatedFilter),
        ("arrived_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("=event_key",)
    search_help_text = "the key of its first event, or a batch of it"
    ordering = ("-id",)  # ids rise with time, and have an index
    paginator = BoundedPaginator
    exclude = ("payload", "parked")
    readonly_fields = ("parked_payloads", "readable_payload")
    actions = ("replay",)
    actions_detail = ("replay_this",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("payload")  # up to 10 MiB each

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> Found:
        with suppress(ValueError):  # the id of a batch, or a key that looks like one
            found = queryset.filter(of_batch(UUID(search_term.strip())))
            if found.exists():
                return found, False
        return cast(Found, super().get_search_results(request, queryset, search_term))

    @display(description="verdict", label=_VERDICTS, ordering="verdict")
    def result(self, delivery: WebhookDelivery) -> str:
        return delivery.verdict

    @display(description="parked")
    def parked_payloads(self, delivery: WebhookDelivery) -> str:
        if not delivery.parked:
            return "none"
        numbers = ", ".join(str(place + 1) for place in delivery.parked)
        return f"payload{'s' if len(delivery.parked) > 1 else ''} {numbers} of it"

    @display(description="payload")
    def readable_payload(self, delivery: WebhookDelivery) -> SafeString | str:
        if delivery.forgotten_at is not None:
            return f"not kept any more since {delivery.forgotten_at:%Y-%m-%d %H:%M} UTC"
        return as_json(payload_of(delivery))

    def has_replay_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether somebody may have pushes mapped again; of one, whether it can be."""
        delivery = self.get_object(request, object_id) if object_id else None
        if object_id and (delivery is None or delivery.verdict not in REPLAYABLE):
            return False
        return self.may_write(request, delivery)

    @admin.action(description="Map again", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        done = sum(self._replayed(request, one) for one in queryset.select_related("tenant"))
        self.message_user(request, f"{done} pushes are mapped again", messages.SUCCESS)

    @action(
        description="Map again",
        permissions=["replay"],
        url_path="replay",
        icon="replay",
        dialog={
            "title": "Map this push again?",
            "description": "By the mappings of its source as they are now. Events that counted"
            " already are repeats, and do not count again.",
            "form_class": None,
            "form_submit_text": "Map again",
        },
    )
    def replay_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        delivery: WebhookDelivery | None = self.get_object(request, object_id)
        if delivery is None:
            raise PermissionDenied
        if self._replayed(request, delivery):
            self.message_user(request, "The push is mapped again.", messages.SUCCESS)
        page = reverse("admin:webhooks_webhookdelivery_change", args=(object_id,))
        return after_dialog(request, page)

    def _replayed(self, request: HttpRequest, delivery: WebhookDelivery) -> bool:
        """Whether it is; a refusal is said on the page."""
        if not self.may_write(request, delivery):
            return False
        tenant = delivery.tenant
        try:
            replay_delivery(
                delivery=delivery, actor=actor_of(request, tenant), now=clock.now(tenant)
            )
        except AforoError as refusal:
            messages.error(request, refusal.detail)
            return False
        return True
