"""Routes of the endpoints that live here, below /api/v1/."""

from django.urls import path

from aforo.api.endpoints.api_keys import ApiKeyDetail, ApiKeyRevocation, ApiKeys
from aforo.api.endpoints.audit_entries import AuditEntries, AuditEntryDetail
from aforo.api.endpoints.tenant import OwnTenant

urlpatterns = [
    path("api-keys", ApiKeys.as_view()),
    path("api-keys/<uuid:id>", ApiKeyDetail.as_view()),
    path("api-keys/<uuid:id>/revoke", ApiKeyRevocation.as_view()),
    path("audit-entries", AuditEntries.as_view()),
    path("audit-entries/<uuid:id>", AuditEntryDetail.as_view()),
    path("tenant", OwnTenant.as_view()),
]
