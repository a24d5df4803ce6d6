"""Routes of webhooks, without trailing slashes."""

from django.urls import path

from webhooks.api.deliveries import (
    WebhookDeliveries,
    WebhookDeliveriesReplay,
    WebhookDeliveryDetail,
    WebhookDeliveryReplay,
)
from webhooks.api.previews import WebhookSourcePreview
from webhooks.api.receiver import webhook
from webhooks.api.sources import WebhookSourceDetail, WebhookSourceRotation, WebhookSources

HOT_ROUTES = {"v1/ingest/webhook/<uuid:source_id>": webhook}
urlpatterns = [
    *(path(route, view) for route, view in HOT_ROUTES.items()),
    path("api/v1/webhook-sources", WebhookSources.as_view()),
    path("api/v1/webhook-sources/<uuid:id>", WebhookSourceDetail.as_view()),
    path("api/v1/webhook-sources/<uuid:id>/rotate", WebhookSourceRotation.as_view()),
    path("api/v1/webhook-sources/<uuid:id>/preview", WebhookSourcePreview.as_view()),
    path("api/v1/webhook-deliveries", WebhookDeliveries.as_view()),
    path("api/v1/webhook-deliveries/replay", WebhookDeliveriesReplay.as_view()),
    path("api/v1/webhook-deliveries/<uuid:id>", WebhookDeliveryDetail.as_view()),
    path("api/v1/webhook-deliveries/<uuid:id>/replay", WebhookDeliveryReplay.as_view()),
]
