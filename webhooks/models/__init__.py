"""The outside world's pushes, and ours: who may send them, who is told, and what came."""

from webhooks.models.alert_rules import AlertFiring, AlertRule, CustomerPreference
from webhooks.models.customer_letters import CustomerLetter
from webhooks.models.inbound import WebhookDelivery, WebhookMapping, WebhookSource
from webhooks.models.outbound import DeliveryAttempt, OutboundDelivery, WebhookEndpoint

__all__ = [
    "AlertFiring",
    "AlertRule",
    "CustomerLetter",
    "CustomerPreference",
    "DeliveryAttempt",
    "OutboundDelivery",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookMapping",
    "WebhookSource",
]
