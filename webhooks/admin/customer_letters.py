"""What customers and their account managers were written, read only."""

from django.contrib import admin
from unfold.decorators import display

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter
from webhooks.models import CustomerLetter

_STATES = {"WAITING": "info", "SENT": "success", "FAILED": "danger"}


@admin.register(CustomerLetter)
class CustomerLetterAdmin(ReadOnlyAdmin):
    """E-mail about single customers, and whether it was taken."""

    list_display = ("created_at", "tenant", "customer", "title", "address", "stands", "last_error")
    list_select_related = ("tenant", "customer")
    list_filter = (TenantFilter, "state", "fact")
    search_fields = ("customer__external_id", "address")

    @display(description="state", label=_STATES)
    def stands(self, letter: CustomerLetter) -> str:
        return str(letter.state)
