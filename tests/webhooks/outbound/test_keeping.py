"""Finished deliveries go after a while, with their attempts and messages; what waits stays."""

from datetime import timedelta

from aforo.outbox.models import OutboxMessage
from tests.factories import (
    NOW,
    AlertRuleFactory,
    OutboundDeliveryFactory,
    OutboxMessageFactory,
    WebhookEndpointFactory,
)
from webhooks.models import AlertFiring, DeliveryAttempt, OutboundDelivery
from webhooks.outbound.keeping import forget_deliveries

DAY = timedelta(days=1)


def test_what_finished_long_ago_is_forgotten(tenant, settings):
    settings.KEEP_DELIVERIES_DAYS = 30
    old = OutboundDeliveryFactory(tenant=tenant, state="DELIVERED", finished_at=NOW)
    about = {"number": 1, "started_at": NOW, "milliseconds": 1, "status": 200}
    DeliveryAttempt.objects.create(tenant=tenant, delivery=old, **about)
    told = OutboxMessageFactory(tenant=tenant, carried_at=NOW)  # and nobody listened
    firing = AlertFiring.objects.create(
        tenant=tenant,
        rule=AlertRuleFactory(tenant=tenant),
        message=told,
        fired_at=NOW,
        quiet_until=NOW,
    )
    young = OutboundDeliveryFactory(tenant=tenant, state="FAILED", finished_at=NOW + 2 * DAY)
    off = WebhookEndpointFactory(tenant=tenant, is_active=False)
    waits = OutboundDeliveryFactory(tenant=tenant, endpoint=off)
    removed = WebhookEndpointFactory(tenant=tenant, is_active=False, archived_at=NOW)
    OutboundDeliveryFactory(tenant=tenant, endpoint=removed)

    assert forget_deliveries(now=NOW + 31 * DAY) == 5
    assert set(OutboundDelivery.objects.all()) == {young, waits}
    assert set(OutboxMessage.objects.all()) == {young.message, waits.message}
    assert not DeliveryAttempt.objects.exists()
    firing.refresh_from_db()
    assert firing.message is None
    settings.KEEP_DELIVERIES_DAYS = 0
    assert forget_deliveries(now=NOW + 99 * DAY) == 0
