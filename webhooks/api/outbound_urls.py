"""Routes of webhooks going out, without trailing slashes."""

from django.urls import path

from webhooks.api.alert_rules import (
    AlertRuleDetail,
    AlertRules,
    CustomerPreferenceDetail,
    CustomerPreferences,
)
from webhooks.api.endpoints import (
    WebhookEndpointDetail,
    WebhookEndpointRotation,
    WebhookEndpoints,
    WebhookEndpointTest,
    WebhookFacts,
)
from webhooks.api.outbound_deliveries import (
    OutboundDeliveries,
    OutboundDeliveryDetail,
    OutboundRedeliveries,
    OutboundRedelivery,
)

urlpatterns = [
    path("api/v1/alert-rules", AlertRules.as_view()),
    path("api/v1/alert-rules/<uuid:id>", AlertRuleDetail.as_view()),
    path("api/v1/customer-preferences", CustomerPreferences.as_view()),
    path("api/v1/customer-preferences/<uuid:id>", CustomerPreferenceDetail.as_view()),
    path("api/v1/webhook-facts", WebhookFacts.as_view()),
    path("api/v1/webhook-endpoints", WebhookEndpoints.as_view()),
    path("api/v1/webhook-endpoints/<uuid:id>", WebhookEndpointDetail.as_view()),
    path("api/v1/webhook-endpoints/<uuid:id>/rotate", WebhookEndpointRotation.as_view()),
    path("api/v1/webhook-endpoints/<uuid:id>/test", WebhookEndpointTest.as_view()),
    path("api/v1/outbound-deliveries", OutboundDeliveries.as_view()),
    path("api/v1/outbound-deliveries/redeliver", OutboundRedeliveries.as_view()),
    path("api/v1/outbound-deliveries/<uuid:id>", OutboundDeliveryDetail.as_view()),
    path("api/v1/outbound-deliveries/<uuid:id>/redeliver", OutboundRedelivery.as_view()),
]
