"""Routes of metering, without trailing slashes."""

from django.urls import path

from metering.api.ingest import ingest

urlpatterns = [
    path("v1/ingest", ingest),
    path("v1/ingest/batch", ingest),
    path("v1/ingest/events", ingest),
    path("v1/ingest/events/batch", ingest),
]
