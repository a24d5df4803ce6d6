"""The admin of webhooks: who pushes and what came, who is told and what was sent."""

from webhooks.admin.alert_rules import AlertRuleAdmin, CustomerPreferenceAdmin
from webhooks.admin.customer_letters import CustomerLetterAdmin
from webhooks.admin.deliveries import WebhookDeliveryAdmin
from webhooks.admin.inbound import WebhookSourceAdmin
from webhooks.admin.outbound import WebhookEndpointAdmin
from webhooks.admin.outbound_deliveries import OutboundDeliveryAdmin

__all__ = [
    "AlertRuleAdmin",
    "CustomerLetterAdmin",
    "CustomerPreferenceAdmin",
    "OutboundDeliveryAdmin",
    "WebhookDeliveryAdmin",
    "WebhookEndpointAdmin",
    "WebhookSourceAdmin",
]
