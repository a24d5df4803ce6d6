"""What today came to, and how metering does now: for pages that ask again every half a minute."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from aforo.money import plain
from metering.ingest.acknowledgements import Latency, health_of, in_milliseconds, latency_of
from metering.selectors.ingestion import Health, Ingestion, Source, ingestion
from metering.selectors.live_summary import Figures, LiveSummary, live_summary

STALE_AFTER = 30  # seconds


class CountsInTime(WireSerializer):
    """Each span up to the same point; months and days begin in the tenant's time zone."""

    today = serializers.IntegerField()
    yesterday = serializers.IntegerField(help_text="until the same time of day")
    period = serializers.IntegerField(help_text="this month until now")
    last_period = serializers.IntegerField(help_text="the last month until the same point")


class AmountsInTime(WireSerializer):
    """Money in the tenant's currency."""

    today = serializers.CharField()
    yesterday = serializers.CharField()
    period = serializers.CharField()
    last_period = serializers.CharField()
    estimated = serializers.BooleanField()
    basis = serializers.CharField(help_text="how it was found")


class LeakagePrevented(WireSerializer):
    recovered = AmountsInTime(help_text="events that were refused first and count after all")
    late_accepted = AmountsInTime(help_text="late events of billed periods that were accepted")
    duplicates = AmountsInTime(help_text="what duplicates would have added")


class LiveSummarySerializer(WireSerializer):
    as_of = serializers.DateTimeField()
    stale_after = serializers.IntegerField(help_text="seconds after which to ask again")
    currency = serializers.CharField()
    time_zone = serializers.CharField()
    events = CountsInTime()
    duplicates = CountsInTime()
    leakage_prevented = LeakagePrevented()


class LiveSummaryView(TenantAPIView):
    """Today against the same point of yesterday and of the last month."""

    @extend_schema(responses=LiveSummarySerializer)
    def get(self, request: Request) -> Response:
        found = live_summary(tenant=self.tenant, now=timezone.now())
        return entity_response(told_summary(found, self.tenant.time_zone))


def told_summary(found: LiveSummary, time_zone: str) -> dict[str, Any]:
    """The summary as it is answered."""
    average = f"events times {plain(found.average_revenue)}, the mean of the open periods"
    return {
        "asOf": found.as_of,
        "staleAfter": STALE_AFTER,
        "currency": found.currency,
        "timeZone": time_zone,
        "events": {name: int(value) for name, value in _in_time(found.events).items()},
        "duplicates": {name: int(value) for name, value in _in_time(found.duplicates).items()},
        "leakagePrevented": {
            "recovered": _amounts(found.recovered, "the exact price of replayed events"),
            "lateAccepted": _amounts(found.late_value, average, estimated=True),
            "duplicates": _amounts(found.duplicate_value, average, estimated=True),
        },
    }


def _in_time(figures: Figures) -> dict[str, Any]:
    return {
        "today": figures.today,
        "yesterday": figures.yesterday,
        "period": figures.month,
        "lastPeriod": figures.last_month,
    }


def _amounts(figures: Figures, basis: str, *, estimated: bool = False) -> dict[str, Any]:
    amounts = {name: plain(value) for name, value in _in_time(figures).items()}
    return amounts | {"estimated": estimated, "basis": basis}


class MinuteSerializer(WireSerializer):
    at = serializers.DateTimeField()
    events = serializers.IntegerField()
    refused = serializers.IntegerField()
    duplicates = serializers.IntegerField()


class SourceSerializer(WireSerializer):
    """One sender of the last hour."""

    source = serializers.CharField()  # type: ignore[assignment]  # a field, not the option
    door = serializers.CharField()
    api_key_id = serializers.UUIDField(allow_null=True)
    api_key_name = serializers.CharField()
    status = serializers.ChoiceField(choices=list(Health))
    events = serializers.IntegerField()
    refused = serializers.IntegerField()
    last_seen_at = serializers.DateTimeField()


class LatencySerializer(WireSerializer):
    """Milliseconds until a request was durable, over the last hour; null without requests."""

    requests = serializers.IntegerField()
    average_ms = serializers.FloatField(allow_null=True)
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)


class BacklogSerializer(WireSerializer):
    batches = serializers.IntegerField()
    events = serializers.IntegerField()
    oldest_seconds = serializers.FloatField()


class ErrorCountSerializer(WireSerializer):
    code = serializers.CharField()
    events = serializers.IntegerField()


class QualitySerializer(WireSerializer):
    validation_pass_rate = serializers.FloatField(allow_null=True, help_text="0 to 1")
    schema_violations = serializers.IntegerField()
    open_dead_letters = serializers.IntegerField(help_text="never counted beyond 100,001")
    top_errors = ErrorCountSerializer(many=True)


class UnitHealthSerializer(WireSerializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    metric = serializers.CharField()
    status = serializers.ChoiceField(choices=["HEALTHY", "DEGRADED", "DOWN", "NO_DATA"])
    last_event_at = serializers.DateTimeField(allow_null=True, help_text="to about a minute")


class IngestionSerializer(WireSerializer):
    as_of = serializers.DateTimeField()
    stale_after = serializers.IntegerField()
    events_per_minute = serializers.FloatField(help_text="mean of the last five whole minutes")
    events_last_hour = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True, help_text="0 to 1, of the last hour")
    active_sources = serializers.IntegerField()
    throttled_requests = serializers.IntegerField(help_text="answered 429 in the last 5 minutes")
    minutes = MinuteSerializer(many=True)
    sources = SourceSerializer(many=True)
    latency = LatencySerializer()
    backlog = BacklogSerializer()
    quality = QualitySerializer()
    units = UnitHealthSerializer(many=True)


class IngestionView(TenantAPIView):
    """The last hour of the tenant's metering."""

    @extend_schema(responses=IngestionSerializer)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        latency = latency_of(self.tenant.pk, minute=int(now.timestamp()) // 60)
        return entity_response(told_ingestion(ingestion(tenant=self.tenant, now=now), latency))


def told_ingestion(found: Ingestion, latency: Latency) -> dict[str, Any]:
    """The hour as it is answered."""
    return {
        "asOf": found.as_of,
        "staleAfter": STALE_AFTER,
        "eventsPerMinute": found.events_per_minute,
        "eventsLastHour": found.events,
        "successRate": found.success_rate,
        "activeSources": sum(bool(one.recent_events) for one in found.sources),
        "throttledRequests": latency.throttled,
        "minutes": [asdict(one) for one in found.minutes],
        "sources": [_source(one, latency) for one in found.sources],
        "latency": _latency(latency),
        "backlog": {
            "batches": found.backlog.batches,
            "events": found.backlog.events,
            "oldestSeconds": round(found.backlog.oldest_seconds, 3),
        },
        "quality": {
            "validationPassRate": found.success_rate,
            "schemaViolations": found.schema_violations,
            "openDeadLetters": found.dead_letters,
            "topErrors": [{"code": code, "events": events} for code, events in found.errors],
        },
        "units": [
            {
                "id": str(unit.id),
                "name": unit.name,
                "metric": unit.metric,
                "status": unit.health,
                "lastEventAt": unit.last_event_at,
            }
            for unit in found.units
        ],
    }


def _source(one: Source, latency: Latency) -> dict[str, Any]:
    return {
        "source": one.source,
        "door": one.door,
        "apiKeyId": one.key_id and str(one.key_id),
        "apiKeyName": one.key_name,
        "status": health_of(one, latency),
        "events": one.events,
        "refused": one.refused,
        "lastSeenAt": one.last_seen_at,
    }


def _latency(latency: Latency) -> dict[str, Any]:
    return {
        "requests": latency.requests,
        "averageMs": in_milliseconds(latency.average),
        "p50Ms": in_milliseconds(latency.p50),
        "p95Ms": in_milliseconds(latency.p95),
        "p99Ms": in_milliseconds(latency.p99),
    }
