"""Routes of metering, without trailing slashes."""

from django.urls import path

from metering.api import lago, openmeter, stripe
from metering.api.access_doors import VIEWS as ACCESS_ROUTES
from metering.api.alerts import AlertAcknowledgement, AlertDetail, Alerts
from metering.api.batches import IngestBatch
from metering.api.clock import Clock, ClockAdvance, ClockFreeze, ClockUnfreeze
from metering.api.corrections import (
    CorrectionDetail,
    Corrections,
    UsageEventAmendment,
    UsageEventVoiding,
)
from metering.api.costs import CostEventDetail, CostEvents, ingest_costs
from metering.api.held import (
    HeldEventAcceptance,
    HeldEventDetail,
    HeldEvents,
    HeldEventsAcceptance,
    HeldEventsWaiver,
    HeldEventWaiver,
)
from metering.api.ingest import compound, events, ingest, meter
from metering.api.late_events import LateEvents
from metering.api.letter_routes import LETTER_ROUTES
from metering.api.live_revenue import LiveRevenueView
from metering.api.margin_routes import MARGIN_ROUTES
from metering.api.monitoring import IngestionView, LiveSummaryView
from metering.api.sessions import SessionDetail, SessionKill, SessionKillByName, Sessions
from metering.api.streams import StreamTickets, stream
from metering.api.trials import IngestTest
from metering.api.unit_health import UnitHealthView
from metering.api.uploads import (
    IngestUpload,
    IngestUploadDetail,
    UploadCancelling,
    UploadDetail,
    UploadList,
    UploadReport,
    UploadStarting,
)
from metering.api.usage_events import UsageEventDetail, UsageEvents

# Plain views that need no middleware of Django's.
HOT_ROUTES = {
    "v1/ingest": ingest,
    "v1/ingest/batch": ingest,
    "v1/ingest/events": ingest,
    "v1/ingest/events/batch": ingest,
    "v1/events": events,
    "v1/meter": meter,
    "api/v1/ingest/compound": compound,
    "api/v1/ingest/compound/batch": compound,
}
urlpatterns = [
    *LETTER_ROUTES,
    *MARGIN_ROUTES,
    *(path(route, view) for route, view in HOT_ROUTES.items()),
    *(path(route, view) for route, view in ACCESS_ROUTES.items()),
    path("v1/ingest/batches/<uuid:batch_id>", IngestBatch.as_view()),
    path("v1/ingest/upload", IngestUpload.as_view()),
    path("v1/ingest/upload/<uuid:upload_id>", IngestUploadDetail.as_view()),
    path("api/v1/uploads", UploadList.as_view()),
    path("api/v1/uploads/<uuid:id>", UploadDetail.as_view()),
    path("api/v1/uploads/<uuid:id>/report", UploadReport.as_view()),
    path("api/v1/uploads/<uuid:id>/start", UploadStarting.as_view()),
    path("api/v1/uploads/<uuid:id>/cancel", UploadCancelling.as_view()),
    path("api/v1/usage-events", UsageEvents.as_view()),
    path("api/v1/usage-events/<int:id>", UsageEventDetail.as_view()),
    path("api/v1/alerts", Alerts.as_view()),
    path("api/v1/alerts/<uuid:id>", AlertDetail.as_view()),
    path("api/v1/alerts/<uuid:id>/acknowledge", AlertAcknowledgement.as_view()),
    path("api/v1/unit-health", UnitHealthView.as_view()),
    path("api/v1/live/revenue", LiveRevenueView.as_view()),
    path("api/v1/live/summary", LiveSummaryView.as_view()),
    path("api/v1/ingestion", IngestionView.as_view()),
    path("api/v1/events/stream", stream),
    path("api/v1/events/stream-tickets", StreamTickets.as_view()),
    path("api/v1/sessions", Sessions.as_view()),
    path("api/v1/sessions/kill", SessionKillByName.as_view()),
    path("api/v1/sessions/<uuid:id>", SessionDetail.as_view()),
    path("api/v1/sessions/<uuid:id>/kill", SessionKill.as_view()),
    path("api/v1/corrections", Corrections.as_view()),
    path("api/v1/corrections/<uuid:id>", CorrectionDetail.as_view()),
    path("api/v1/usage-events/<int:id>/amend", UsageEventAmendment.as_view()),
    path("api/v1/usage-events/<int:id>/void", UsageEventVoiding.as_view()),
    path("api/v1/late-events", LateEvents.as_view()),
    path("api/v1/held-events", HeldEvents.as_view()),
    path("api/v1/held-events/accept", HeldEventsAcceptance.as_view()),
    path("api/v1/held-events/waive", HeldEventsWaiver.as_view()),
    path("api/v1/held-events/<uuid:id>", HeldEventDetail.as_view()),
    path("api/v1/held-events/<uuid:id>/accept", HeldEventAcceptance.as_view()),
    path("api/v1/held-events/<uuid:id>/waive", HeldEventWaiver.as_view()),
    path("v1/ingest/test", IngestTest.as_view()),
    path("api/v1/sandbox/clock", Clock.as_view()),
    path("api/v1/sandbox/clock/freeze", ClockFreeze.as_view()),
    path("api/v1/sandbox/clock/advance", ClockAdvance.as_view()),
    path("api/v1/sandbox/clock/unfreeze", ClockUnfreeze.as_view()),
    path("v1/ingest/cogs", ingest_costs),
    path("api/v1/cost-events", CostEvents.as_view()),
    path("api/v1/cost-events/<uuid:id>", CostEventDetail.as_view()),
    path("compat/lago/api/v1/events", lago.event),
    path("compat/lago/api/v1/events/batch", lago.events),
    path("compat/openmeter/api/v1/events", openmeter.events),
    path("compat/stripe/v1/billing/meter_events", stripe.meter_event),
    path("compat/stripe/v2/billing/meter_events", stripe.meter_event_v2),
    path("compat/stripe/v2/billing/meter_event_session", stripe.meter_event_session),
    path("compat/stripe/v2/billing/meter_event_stream", stripe.meter_event_stream),
]
