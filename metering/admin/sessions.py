"""Sessions of agents and tools: seen, and killed."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.tenancy import clock
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of, plainly, role_in
from aforo.tenancy.roles import USAGE_WRITERS
from metering.admin.base import BoundedPaginator
from metering.models import Session
from metering.services.sessions import kill_session

_STATES = {
    Session.State.CREATED: "info",
    Session.State.ACTIVE: "success",
    Session.State.IDLE: "warning",
    "KILLED": "danger",
}
_tokens, _cost, _revenue = plainly("tokens"), plainly("cost"), plainly("revenue")


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Sessions as their events tell them."""

    write_roles = USAGE_WRITERS
    list_display = (
        "session_id",
        "tenant",
        "state",
        "customer_name",
        "agent_id",
        "calls",
        _tokens,
        _cost,
        _revenue,
        "started_at",
        "last_seen_at",
    )
    list_select_related = ("tenant",)
    list_filter = (
        TenantFilter,
        ("closed_at", admin.EmptyFieldListFilter),
        ("killed_at", admin.EmptyFieldListFilter),
        ("last_seen_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("=session_id", "=customer_name", "=agent_id")
    ordering = ("-id",)  # ids rise with time, and have an index
    paginator = BoundedPaginator
    actions = ("kill",)
    exclude = ("tokens", "cost", "revenue")
    readonly_fields = (_tokens, _cost, _revenue)

    @display(description="state", label=_STATES)
    def state(self, session: Session) -> str:
        is_killed = session.killed_at is not None
        return "KILLED" if is_killed else session.state_at(clock.now(session.tenant))

    def has_kill_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.action(description="Kill: tell their clients to stop", permissions=["kill"])
    def kill(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        alive = [
            session
            for session in queryset.filter(killed_at__isnull=True)
            if role_in(request, session.tenant_id) in USAGE_WRITERS
        ]
        for session in alive:
            kill_session(
                tenant=session.tenant,
                session_id=session.session_id,
                reason="by hand",
                actor=actor_of(request, session.tenant),
                now=clock.now(session.tenant),
            )
        self.message_user(request, f"{len(alive)} sessions killed", messages.SUCCESS)
