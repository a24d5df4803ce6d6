"""The admin of the outbox: what is still to be told, and what was."""

from django.contrib import admin

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "tenant", "fact", "subject", "carried_at")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "fact", ("carried_at", admin.EmptyFieldListFilter))
    search_fields = ("fact", "subject")
