"""Corrections over HTTP: usage events taken back or amended, for who keeps the books."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import StrictSerializer, WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.spelling import on_the_wire
from metering.api.usage_events import possible
from metering.models import Correction
from metering.selectors.corrections import corrections
from metering.services.corrections import Corrected, amend_event, void_event


class Voiding(StrictSerializer):
    reason = serializers.CharField(max_length=1000, help_text="kept with the event, and audited")


class Amendment(Voiding):
    """Only what is to be different; everything else stays as it was."""

    customer_id = serializers.CharField(required=False, max_length=400)
    metric_name = serializers.CharField(required=False, max_length=400)
    quantity = serializers.DecimalField(required=False, max_digits=36, decimal_places=12)
    occurred_at = serializers.DateTimeField(required=False)
    idempotency_key = serializers.CharField(
        required=False,
        max_length=4096,
        trim_whitespace=False,
        help_text="of the event that is counted instead; one is made when absent",
    )
    product_type = serializers.CharField(required=False, max_length=400, allow_null=True)
    session_id = serializers.CharField(required=False, max_length=400, allow_null=True)
    agent_id = serializers.CharField(required=False, max_length=400, allow_null=True)
    tool_name = serializers.CharField(required=False, max_length=400, allow_null=True)
    trace_id = serializers.CharField(required=False, max_length=400, allow_null=True)
    metadata = serializers.DictField(
        required=False, allow_null=True, help_text="an object, instead of the whole that was there"
    )


class CorrectionPartSerializer(WireModelSerializer):
    """One billable unit's part of a correction; parts of one share `actionId`."""

    event_id = serializers.CharField()
    running_total_id = serializers.CharField(
        allow_null=True, help_text="null: the event was unbilled"
    )

    class Meta:
        model = Correction
        fields = (
            "id",
            "kind",
            "action_id",
            "event_id",
            "running_total_id",
            "position",
            "void_position",
            "idempotency_key",
            "replacement_key",
            "reason",
            "actor_name",
            "created_at",
        )
        read_only_fields = fields


class CorrectedSerializer(WireSerializer):
    kind = serializers.ChoiceField(Correction.Kind.choices)
    corrections = CorrectionPartSerializer(many=True)
    replacement_key = serializers.CharField()
    replacement_ids = serializers.ListField(
        child=serializers.CharField(), help_text="usage events that are counted instead"
    )


class Corrections(TenantListView):
    """What was taken back, newest first."""

    selector = corrections
    serializer_class = CorrectionPartSerializer
    filterset_fields = ("kind",)


class CorrectionDetail(TenantDetailView):
    """One billable unit's part of a correction."""

    selector = corrections
    serializer_class = CorrectionPartSerializer


class UsageEventVoiding(TenantAPIView):
    """Taking a usage event back."""

    serializer_class = CorrectedSerializer

    @extend_schema(request=Voiding, responses={201: CorrectedSerializer})
    def post(self, request: Request, id: int) -> Response:  # noqa: A002 - the route's name for it
        """Take it back for all units that count it, once. Its key stays used."""
        corrected = void_event(
            tenant=self.tenant,
            event_id=possible(id),
            actor=self.actor,
            now=self.now(),
            **self.read(Voiding),
        )
        return _answered(corrected)


class UsageEventAmendment(TenantAPIView):
    """Amending a usage event."""

    serializer_class = CorrectedSerializer

    @extend_schema(request=Amendment, responses={201: CorrectedSerializer})
    def post(self, request: Request, id: int) -> Response:  # noqa: A002 - likewise
        """Take it back and count it anew with other values, in whatever period that falls."""
        asked = self.read(Amendment)
        reason = asked.pop("reason")
        corrected = amend_event(
            tenant=self.tenant,
            event_id=possible(id),
            changes=_changes(asked),
            actor=self.actor,
            reason=reason,
            now=self.now(),
        )
        return _answered(corrected)


def _changes(asked: dict[str, Any]) -> dict[str, Any]:
    """Under the names that an event has on the wire."""
    return {on_the_wire(name): value for name, value in asked.items()}


def _answered(corrected: Corrected) -> Response:
    first = corrected.corrections[0]
    outcome = {
        "kind": first.kind,
        "corrections": corrected.corrections,
        "replacement_key": first.replacement_key,
        "replacement_ids": [str(row.pk) for row in corrected.replacements],
    }
    return entity_response(CorrectedSerializer(outcome).data, status=201)
