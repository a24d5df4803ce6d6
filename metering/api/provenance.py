"""How a usage event and its provenance are spelled on the wire."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.money import plain
from catalog.api.fields import ExactField
from metering.models import Correction, Receipt, UsageEvent
from metering.provenance import Provenance, found_by, gates_of, lateness, routing_of

MICROSECOND = timedelta(microseconds=1)


@extend_schema_field(OpenApiTypes.STR)
class HexField(serializers.Field):
    """Bytes of a hash in hexadecimal."""

    def to_representation(self, value: bytes | memoryview) -> str:
        return bytes(value).hex()


class UsageEventSerializer(WireModelSerializer):
    """One event as one billable unit counts it; `revenue` is what it added to the price, exactly.

    Without `runningTotalId` it is unbilled.
    """

    id = serializers.CharField()
    customer_external_id = serializers.SerializerMethodField()
    running_total_id = serializers.CharField(allow_null=True)
    quantity = ExactField()
    revenue = ExactField()
    cost = ExactField()

    class Meta:
        model = UsageEvent
        fields = (
            "id",
            "idempotency_key",
            "customer_id",
            "customer_external_id",
            "subscription_id",
            "plan_version_id",
            "unit_id",
            "metric",
            "quantity",
            "revenue",
            "cost",
            "occurred_at",
            "received_at",
            "late",
            "product_type",
            "session_id",
            "agent_id",
            "tool_name",
            "trace_id",
            "metadata",
            "source",
            "batch_id",
            "batch_index",
            "running_total_id",
            "position",
        )
        read_only_fields = fields

    @extend_schema_field({"type": ["string", "null"]})
    def get_customer_external_id(self, event: UsageEvent) -> str | None:
        names: dict[Any, str] = self.context["names"]
        return names.get(event.customer_id)


class KeySerializer(WireSerializer):
    """Which key sent it, as far as a key may be told."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    last_four = serializers.CharField()


class ReceiptSerializer(WireModelSerializer):
    """What became of the whole batch, and how long each step of its drain took."""

    steps = serializers.JSONField(allow_null=True, help_text="milliseconds by step")

    class Meta:
        model = Receipt
        fields = (
            "batch_id",
            "source",
            "door",
            "received_at",
            "arrived_at",
            "drained_at",
            "event_count",
            "counted",
            "unbilled",
            "duplicates",
            "dead",
            "held",
            "steps",
        )
        read_only_fields = fields


class GateSerializer(WireSerializer):
    gate = serializers.ChoiceField(("schema", "timestamp", "idempotency", "latency"))
    verdict = serializers.ChoiceField(("PASSED", "FLAGGED", "BROKEN"))
    at = serializers.DateTimeField(allow_null=True)
    detail = serializers.CharField()


class EnrichmentSerializer(WireSerializer):
    """Who is billed for it, under which price."""

    customer_id = serializers.UUIDField(source="customer.id", default=None)
    customer_external_id = serializers.CharField(source="customer.external_id", default=None)
    customer_name = serializers.CharField(source="customer.name", default=None)
    found_by = serializers.SerializerMethodField(
        help_text="EXTERNAL_ID, OWN_ID or ALIAS; null once the raw payload is gone"
    )
    subscription_id = serializers.UUIDField(source="subscription.id", default=None)
    offering = serializers.CharField(source="subscription.offering.name", default=None)
    rate_plan = serializers.CharField(source="version.rate_plan.name", default=None)
    plan_version = serializers.IntegerField(source="version.number", default=None)
    plan_version_id = serializers.UUIDField(source="version.id", default=None)
    billable_unit = serializers.CharField(source="unit.name", default=None)
    aggregation = serializers.CharField(source="unit.aggregation", default=None)
    terms = serializers.JSONField(
        source="price.wire",
        default=None,
        help_text="those that apply in its period: of a trial, of the contract, else of the plan",
    )
    dimension = serializers.CharField(
        source="total.dimension",
        default=None,
        help_text="values of the keys that its terms count apart, as JSON",
    )
    period_start = serializers.DateTimeField(source="period.start_at", default=None)
    period_end = serializers.DateTimeField(source="period.end_at", default=None)

    @extend_schema_field({"type": ["string", "null"]})
    def get_found_by(self, provenance: Provenance) -> str | None:
        return found_by(provenance)


class RoutingSerializer(WireSerializer):
    """Where it is counted. `billed`: its total's watermark has passed it."""

    decision = serializers.SerializerMethodField(help_text="COUNTED, UNBILLED or TAKES_BACK")
    running_total_id = serializers.CharField(source="event.running_total_id", allow_null=True)
    position = serializers.IntegerField(source="event.position", allow_null=True)
    billed = serializers.SerializerMethodField()
    held_status = serializers.CharField(source="held.status", default=None)
    held_reason = serializers.CharField(source="held.reason", default=None)
    also_counted_as = serializers.SerializerMethodField(
        help_text="ids of the same event as other units count it"
    )

    @extend_schema_field(OpenApiTypes.STR)
    def get_decision(self, provenance: Provenance) -> str:
        return routing_of(provenance)

    @extend_schema_field(OpenApiTypes.BOOL)
    def get_billed(self, provenance: Provenance) -> bool:
        total, position = provenance.total, provenance.event.position
        if total is None or total.billed_position is None or position is None:
            return False
        return position <= total.billed_position

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_also_counted_as(self, provenance: Provenance) -> list[str]:
        return [str(sibling.pk) for sibling in provenance.siblings]


class PriceSerializer(WireSerializer):
    """What it added to the price and to the cost of its total, exactly."""

    quantity = ExactField(source="event.quantity")
    revenue = ExactField(source="event.revenue")
    cost = ExactField(source="event.cost")
    currency = serializers.CharField(source="subscription.currency", default=None)


class ProofSerializer(WireSerializer):
    """`hash` is computed anew from what is stored; `verified` when it leads to the digest."""

    hash = HexField(source="event_hash")
    digest_before = HexField()
    digest = HexField()
    verified = serializers.BooleanField()


class CorrectionSerializer(WireModelSerializer):
    event_id = serializers.CharField(help_text="the event that was wrong")

    class Meta:
        model = Correction
        fields = ("kind", "event_id", "replacement_key", "reason", "actor_name", "created_at")
        read_only_fields = fields


class ProvenanceSerializer(WireSerializer):
    """One event and its whole chain. What is not kept any more is null."""

    id = serializers.CharField(source="event.pk")
    event = UsageEventSerializer()
    lateness_seconds = serializers.SerializerMethodField()
    api_key = KeySerializer(allow_null=True)
    receipt = ReceiptSerializer(allow_null=True)
    gates = serializers.SerializerMethodField()
    enrichment = EnrichmentSerializer(source="*")
    routing = RoutingSerializer(source="*")
    price = PriceSerializer(source="*")
    proof = ProofSerializer(source="proven", allow_null=True)
    raw = serializers.SerializerMethodField(help_text="its own JSON, as it was stored")
    corrections = CorrectionSerializer(many=True)

    @extend_schema_field(ExactField)
    def get_lateness_seconds(self, provenance: Provenance) -> str:
        return plain(Decimal(lateness(provenance.event) // MICROSECOND).scaleb(-6))

    @extend_schema_field(GateSerializer(many=True))
    def get_gates(self, provenance: Provenance) -> Any:
        return GateSerializer(gates_of(provenance), many=True).data

    @extend_schema_field({"type": ["string", "null"]})
    def get_raw(self, provenance: Provenance) -> str | None:
        return None if provenance.raw is None else provenance.raw.decode(errors="replace")
