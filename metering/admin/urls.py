"""Pages of the admin that belong to no table."""

from django.contrib import admin
from django.urls import path

from metering.admin.margins import margins_page
from metering.admin.monitoring import ingestion_page, live_page, live_ticket
from metering.admin.revenue import revenue_page

_wrap = admin.site.admin_view

urlpatterns = [
    path("metering/margins", _wrap(margins_page), name="metering_margins"),
    path("metering/revenue", _wrap(revenue_page), name="metering_revenue"),
    path("metering/ingestion", _wrap(ingestion_page), name="metering_ingestion"),
    path("metering/live", _wrap(live_page), name="metering_live"),
    path("metering/live/ticket", _wrap(live_ticket), name="metering_live_ticket"),
]
