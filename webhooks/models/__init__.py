"""The outside world's pushes: who may send them, and what came."""

from webhooks.models.inbound import WebhookDelivery, WebhookSource

__all__ = ["WebhookDelivery", "WebhookSource"]
