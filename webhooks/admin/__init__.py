"""The admin of webhooks: who pushes, and what came."""

from webhooks.admin.inbound import WebhookDeliveryAdmin, WebhookSourceAdmin

__all__ = ["WebhookDeliveryAdmin", "WebhookSourceAdmin"]
