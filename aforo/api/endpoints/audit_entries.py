"""The audit log over HTTP: who changed what, newest first."""

from django_filters import rest_framework as filters

from aforo.api.serializers import WireModelSerializer
from aforo.api.views import TenantDetailView, TenantListView
from aforo.tenancy import selectors
from aforo.tenancy.models import AuditEntry


class AuditEntrySerializer(WireModelSerializer):
    class Meta:
        model = AuditEntry
        fields = (
            "id",
            "at",
            "actor_type",
            "actor_id",
            "actor_name",
            "role",
            "address",
            "action",
            "target_type",
            "target_id",
            "target_name",
            "changes",
            "reason",
            "request_id",
        )
        read_only_fields = fields


class AuditEntryFilter(filters.FilterSet):
    action = filters.CharFilter()
    actorId = filters.CharFilter("actor_id")  # noqa: N815  # the name on the wire
    actorType = filters.ChoiceFilter(field_name="actor_type", choices=AuditEntry.ActorType.choices)  # noqa: N815
    targetType = filters.CharFilter("target_type")  # noqa: N815
    targetId = filters.CharFilter("target_id")  # noqa: N815
    since = filters.IsoDateTimeFilter("at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter("at", lookup_expr="lt")


class AuditEntries(TenantListView):
    """Who changed what, newest first; `since` is included, `until` is not."""

    selector = selectors.audit_entries
    serializer_class = AuditEntrySerializer
    filterset_class = AuditEntryFilter


class AuditEntryDetail(TenantDetailView):
    """One audit entry."""

    selector = selectors.audit_entries
    serializer_class = AuditEntrySerializer
