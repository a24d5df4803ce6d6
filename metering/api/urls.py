"""Routes of metering, without trailing slashes."""

from django.urls import path

from metering.api.batches import IngestBatch
from metering.api.clock import Clock, ClockAdvance, ClockFreeze, ClockUnfreeze
from metering.api.ingest import ingest

urlpatterns = [
    path("v1/ingest", ingest),
    path("v1/ingest/batch", ingest),
    path("v1/ingest/events", ingest),
    path("v1/ingest/events/batch", ingest),
    path("v1/ingest/batches/<uuid:batch_id>", IngestBatch.as_view()),
    path("api/v1/sandbox/clock", Clock.as_view()),
    path("api/v1/sandbox/clock/freeze", ClockFreeze.as_view()),
    path("api/v1/sandbox/clock/advance", ClockAdvance.as_view()),
    path("api/v1/sandbox/clock/unfreeze", ClockUnfreeze.as_view()),
]
