"""`POST /v1/ingest/test`: what would become of one event, step by step; nothing is written."""

from collections.abc import Mapping
from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireSerializer
from aforo.api.views import AnyKeyAPIView
from aforo.errors import Unreadable
from aforo.tenancy import clock
from aforo.tenancy.models import ApiKey
from aforo.tenancy.roles import EVERYONE
from catalog.api.fields import ExactField
from catalog.selectors.key_customers import customer_of_key
from metering.api.ingest import body_of
from metering.api.translations import translate_of
from metering.ingest.envelopes import EVENTS, METER, NATIVE, Envelope, trace_of
from metering.ingest.normalising import Cover
from metering.services.trials import Trial, sender_of, try_compound, try_event

STEP_VERDICTS = ("PASSED", "FLAGGED", "REFUSED")
VERDICTS = ("COUNTED", "UNBILLED", "HELD", "DUPLICATE", "REFUSED")
COMPOUND = "/api/v1/ingest/compound"
_DOORS: Mapping[str, Envelope] = {
    "/v1/ingest": NATIVE,
    "/v1/ingest/batch": NATIVE,
    "/v1/ingest/events": NATIVE,
    "/v1/ingest/events/batch": NATIVE,
    "/v1/events": EVENTS,
    "/v1/meter": METER,
    COMPOUND: NATIVE,
}


class TriedSerializer(WireSerializer):
    step = serializers.CharField()
    verdict = serializers.ChoiceField(STEP_VERDICTS)
    code = serializers.CharField(help_text="of the refusal; else empty")
    detail = serializers.CharField()
    microseconds = serializers.IntegerField()


class EffectSerializer(WireSerializer):
    """What it would do to one running total, as that stands now. Amounts are exact."""

    billable_unit = serializers.CharField(source="unit.name")
    aggregation = serializers.CharField(source="unit.aggregation")
    customer_external_id = serializers.CharField(source="subscription.customer.external_id")
    subscription_id = serializers.UUIDField(source="subscription.id")
    rate_plan = serializers.CharField(source="version.rate_plan.name")
    plan_version = serializers.IntegerField(source="version.number")
    period_start = serializers.DateTimeField(source="period.start_at")
    period_end = serializers.DateTimeField(source="period.end_at")
    held = serializers.BooleanField(source="is_held", help_text="its period is billed already")
    quantity_before = ExactField()
    quantity_after = ExactField()
    price_before = ExactField(help_text="of all usage of the period so far")
    price_after = ExactField()
    revenue = ExactField(help_text="what the event adds")
    cost = ExactField()
    currency = serializers.CharField(source="subscription.currency")


class MeasuredTrialSerializer(WireSerializer):
    """How far an event came. Nothing of it was kept."""

    verdict = serializers.ChoiceField(VERDICTS)
    code = serializers.CharField(help_text="why it is refused; else empty")
    event = serializers.SerializerMethodField(help_text="its JSON, as it would be stored")
    idempotency_key = serializers.CharField(help_text="made for it, where it has none")
    occurred_at = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField(help_text="now, on the tenant's clock")
    steps = TriedSerializer(many=True)
    effects = EffectSerializer(many=True)

    def get_event(self, trial: Trial) -> str:
        return trial.stored.decode(errors="replace")


class TrialSerializer(MeasuredTrialSerializer):
    """The same of all that was sent: of a compound, each measurement for itself."""

    measurements = MeasuredTrialSerializer(many=True)


class IngestTest(AnyKeyAPIView):
    """One event walked through every step of the doors and the drain, with a key of any kind.

    200 whatever becomes of it, but 403 when it is of another customer than a subscription's key. A
    body that the doors would not take either is answered as there.
    """

    write_roles = EVERYONE  # it writes nothing

    @extend_schema(
        operation_id="ingest_test",
        tags=["ingest"],
        parameters=[
            OpenApiParameter("door", str, enum=sorted(_DOORS), description="whose spellings"),
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER),
        ],
        request={"application/json": {"$ref": "#/components/schemas/UsageEvent"}},
        responses=TrialSerializer,
    )
    def post(self, request: Request) -> Response:
        key = cast(ApiKey, request.auth)
        owner = customer_of_key(key.pk)
        sender = sender_of(key.tenant, key.source, owner.pk if owner else None)
        door = request.query_params.get("door", "/v1/ingest")
        envelope = _spoken_at(door)
        headers = request.headers
        cover = Cover(
            tenant_id=key.tenant_id,
            envelope=envelope,
            idempotency_key=headers.get("Idempotency-Key"),
            trace_id=trace_of(headers.get("traceparent"), headers.get("x-trace-id")),
            customer_id=sender.customer_id,
        )
        body, now = body_of(cast(Any, request)), clock.now(key.tenant)
        if door == COMPOUND:
            trial = try_compound(sender=sender, body=body, cover=cover, now=now)
        else:
            translate = translate_of(cast(Any, request), sender)
            trial = try_event(sender=sender, body=body, cover=cover, now=now, translate=translate)
        return Response(TrialSerializer(trial).data)


def _spoken_at(door: str) -> Envelope:
    if door not in _DOORS:
        raise Unreadable.naming("door", "INVALID", f"none of {', '.join(sorted(_DOORS))}")
    return _DOORS[door]
