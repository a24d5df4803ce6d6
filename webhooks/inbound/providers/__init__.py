"""Everybody who pushes with a scheme of their own, and the plain scheme for all others."""

from webhooks.inbound.providers.custom import CUSTOM
from webhooks.inbound.providers.github import GITHUB
from webhooks.inbound.providers.provider import Provider
from webhooks.inbound.providers.sendgrid import SENDGRID
from webhooks.inbound.providers.slack import SLACK
from webhooks.inbound.providers.stripe import STRIPE
from webhooks.inbound.providers.twilio import TWILIO

__all__ = ["PROVIDERS", "Provider"]

PROVIDERS: dict[str, Provider] = {
    "CUSTOM": CUSTOM,
    "GITHUB": GITHUB,
    "SENDGRID": SENDGRID,
    "SLACK": SLACK,
    "STRIPE": STRIPE,
    "TWILIO": TWILIO,
}
