"""Which endpoint is told of which message."""

from aforo.outbox.models import OutboxMessage
from webhooks.models import WebhookEndpoint

TEST = "webhook_endpoint.test"
DISABLED = "webhook_endpoint.disabled"
ALERT = "alert.fired"
CHANNELS: dict[str, str] = {
    WebhookEndpoint.Format.STANDARD: "WEBHOOK",
    WebhookEndpoint.Format.SLACK: "SLACK",
    WebhookEndpoint.Format.EMAIL: "EMAIL",
}


def takes(endpoint: WebhookEndpoint, message: OutboxMessage) -> bool:
    """Whether this endpoint of the message's tenant is subscribed to it.

    A test is for the endpoint that it names; an alert only for the channels that it names, and
    so is a margin whose guard names some.
    """
    if message.fact == TEST:
        return bool(message.payload["endpointId"] == str(endpoint.pk))
    channels = message.payload.get("channels")
    if isinstance(channels, list) and CHANNELS[endpoint.format] not in channels:
        return False
    return not endpoint.facts or message.fact in endpoint.facts
