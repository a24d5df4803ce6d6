"""Alerts over HTTP: what monitors and guards found, with its evidence, and who has seen to it."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.newest_first import NewestFirst
from aforo.api.serializers import StrictSerializer, WireModelSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.tenancy.roles import ALERT_WRITERS
from catalog.models import Customer
from catalog.selectors.listings import customer_called
from metering.models import Alert, AlertKind, Severity
from metering.selectors.alerts import alerts
from metering.services.alerts import acknowledge_alert


class Acknowledgement(StrictSerializer):
    reason = serializers.CharField(max_length=1000, help_text="kept with the alert, and audited")


class AlertSerializer(WireModelSerializer):
    """Times are on the tenant's clock; `evidence` is that of the moment it was raised."""

    customer_id = serializers.CharField(source="customer.external_id", default=None)
    unit = serializers.CharField(source="unit.name", default=None)
    evidence = serializers.JSONField(
        help_text="`numbers` by name, `events` as {firstId, lastId, count}, `costs` as {lastId,"
        " count}, `chart` as {labels, values}; what a kind does not have is absent"
    )

    class Meta:
        model = Alert
        fields = (
            "id",
            "kind",
            "severity",
            "state",
            "title",
            "subject",
            "customer_id",
            "subscription_id",
            "unit_id",
            "unit",
            "evidence",
            "raised_at",
            "last_seen_at",
            "occurrences",
            "recovered_at",
            "acknowledged_at",
            "acknowledged_by",
            "reason",
        )
        read_only_fields = fields


class AlertFilter(filters.FilterSet):
    """`raisedFrom` is included, `raisedUntil` is not."""

    kind = filters.ChoiceFilter(choices=AlertKind.choices)
    severity = filters.ChoiceFilter(choices=Severity.choices)
    state = filters.ChoiceFilter(choices=Alert.State.choices)
    customerId = filters.CharFilter(method="of_customer")  # noqa: N815 - its name on the wire
    unitId = filters.UUIDFilter("unit_id")  # noqa: N815
    acknowledged = filters.BooleanFilter("acknowledged_at", lookup_expr="isnull", exclude=True)
    raisedFrom = filters.IsoDateTimeFilter("raised_at", "gte")  # noqa: N815
    raisedUntil = filters.IsoDateTimeFilter("raised_at", "lt")  # noqa: N815

    def of_customer(self, rows: QuerySet[Alert], name: str, value: str) -> QuerySet[Alert]:
        named = Customer.objects.filter(customer_called(value))  # any tenant: with own rows only
        return rows.filter(customer_id__in=named.values("pk"))


class Alerts(TenantListView):
    """What was found, newest first."""

    selector = alerts
    serializer_class = AlertSerializer
    filterset_class = AlertFilter
    pagination_class = NewestFirst


class AlertDetail(TenantDetailView):
    """One alert."""

    selector = alerts
    serializer_class = AlertSerializer


class AlertAcknowledgement(TenantAPIView):
    """Saying that somebody has seen to an alert."""

    selector = alerts
    serializer_class = AlertSerializer
    write_roles = ALERT_WRITERS
    replays_answers = False  # who was first stays, however often it is asked for

    @extend_schema(request=Acknowledgement)
    def post(self, request: Request, **path: Any) -> Response:
        """Acknowledge it with a reason. It stays open until what it found has passed."""
        alert = self.get_object()
        reason = self.read(Acknowledgement)["reason"]
        kept = acknowledge_alert(alert=alert, actor=self.actor, reason=reason, now=self.now())
        return self.answer(kept)
