"""The admin of tenancy: tenants, keys, members, the audit log, and people."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from aforo.tenancy import clock
from aforo.tenancy.admin_base import (
    ReadOnlyAdmin,
    TenantFilter,
    TenantScopedAdmin,
    actor_of,
    become,
    is_superuser,
)
from aforo.tenancy.models import ApiKey, AuditEntry, Member, Tenant
from aforo.tenancy.roles import KEY_WRITERS, MEMBER_WRITERS
from aforo.tenancy.services import keys, members, tenants


@admin.register(Tenant)
class TenantAdmin(TenantScopedAdmin):
    """Settings of a tenant; a new one is made by `aforo tenant create`."""

    tenant_lookup = "pk"
    write_roles = MEMBER_WRITERS
    list_display = ("name", "slug", "kind", "currency", "time_zone", "tenant_time", "created_at")
    list_select_related = ("live_twin",)
    list_filter = ("currency", ("live_twin", admin.EmptyFieldListFilter))
    search_fields = ("name", "slug")
    readonly_fields = (
        "slug",
        "live_twin",
        "currency",
        "tenant_time",
        "clock_frozen_at",
        "catalog_version",
        "created_at",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @display(description="kind", label={"live": "success", "sandbox": "info"})
    def kind(self, tenant: Tenant) -> str:
        return "sandbox" if tenant.is_sandbox else "live"

    @display(description="now, by its own clock")
    def tenant_time(self, tenant: Tenant) -> str:
        frozen = " (frozen)" if tenant.clock_frozen_at else ""
        return f"{clock.now(tenant):%Y-%m-%d %H:%M:%S} UTC{frozen}"

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        changed = {field: form.cleaned_data[field] for field in form.changed_data}
        if changed:
            tenants.change_settings(
                tenant=obj, settings=changed, actor=actor_of(request, obj), now=clock.now(obj)
            )


@admin.register(ApiKey)
class ApiKeyAdmin(TenantScopedAdmin):
    """Keys are issued, limited and revoked; nothing else of them can be changed or shown again."""

    write_roles = KEY_WRITERS
    list_display = ("__str__", "name", "tenant", "kind", "role", "state", "last_used_at")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "kind", "role", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "last_four")
    autocomplete_fields = ("tenant",)
    actions = ("revoke",)

    @display(description="state", label={"active": "success", "revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        return "revoked" if key.is_revoked else "active"

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        written = ("tenant", "kind", "name", "role", "source", "prefix", "last_four")
        times = ("created_at", "last_used_at", "revoked_at")
        return () if obj is None else (*written, *times)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            actor, now = actor_of(request, obj.tenant), clock.now(obj.tenant)
            keys.limit_key(key=obj, rate_limit=obj.rate_limit, actor=actor, now=now)
            return
        key, plaintext = keys.issue_key(
            tenant=obj.tenant,
            kind=obj.kind,
            name=obj.name,
            role=obj.role,
            source=obj.source,
            rate_limit=obj.rate_limit,
            actor=actor_of(request, obj.tenant),
            now=clock.now(obj.tenant),
        )
        become(obj, key)
        text = f"The key is {plaintext} - copy it now, it cannot be shown again."
        self.message_user(request, text, messages.WARNING)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        open_keys = [
            key
            for key in queryset.filter(revoked_at__isnull=True)
            if self.has_change_permission(request, key)
        ]
        for key in open_keys:
            actor = actor_of(request, key.tenant)
            keys.revoke_key(key=key, actor=actor, now=clock.now(key.tenant), reason="by hand")
        self.message_user(request, f"{len(open_keys)} keys revoked", messages.SUCCESS)


@admin.register(Member)
class MemberAdmin(TenantScopedAdmin):
    """Who may act for a tenant. People's accounts belong to superusers, who also add members."""

    write_roles = MEMBER_WRITERS
    list_display = ("user", "tenant", "role", "created_at")
    list_select_related = ("tenant", "user")
    list_filter = (TenantFilter, "role")
    search_fields = ("user__username", "user__email", "tenant__name")
    autocomplete_fields = ("tenant", "user")
    fields = ("tenant", "user", "role")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request, obj)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "user")

    def save_model(self, request: HttpRequest, obj: Member, form: Any, change: bool) -> None:
        actor, now = actor_of(request, obj.tenant), clock.now(obj.tenant)
        if change:
            members.change_role(member=obj, role=obj.role, actor=actor, now=now)
            return
        added = members.add_member(
            tenant=obj.tenant, user=obj.user, role=obj.role, actor=actor, now=now
        )
        become(obj, added)

    def delete_model(self, request: HttpRequest, obj: Member) -> None:
        actor = actor_of(request, obj.tenant)
        members.remove_member(member=obj, actor=actor, now=clock.now(obj.tenant))


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who changed what: here to be read."""

    list_display = ("at", "tenant", "action", "target_type", "target_name", "actor_name", "role")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "actor_type", "target_type", ("at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("action", "target_name", "target_id", "actor_name", "request_id")


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """People: an account opens the admin, its memberships decide what is seen there."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Django's groups, for permissions on what belongs to no tenant."""
