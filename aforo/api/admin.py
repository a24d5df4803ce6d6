"""The admin of the API: which answers are kept for repeated POSTs. Their bodies stay sealed."""

from django.contrib import admin

from aforo.api.models import StoredAnswer
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter


@admin.register(StoredAnswer)
class StoredAnswerAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "tenant", "key", "method", "path", "status")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "method", "status")
    search_fields = ("key", "path")
