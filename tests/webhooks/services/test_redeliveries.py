"""Sending again, while what was sent is being written down."""

import pytest

from aforo.tenancy.services.actors import Actor
from tests.factories import NOW, OutboundDeliveryFactory, TenantFactory, WebhookEndpointFactory
from tests.threads import in_threads
from webhooks.models import OutboundDelivery
from webhooks.outbound.claiming import claim
from webhooks.outbound.recording import record
from webhooks.outbound.sending import Outcome
from webhooks.services.redeliveries import Chosen, redeliver, redeliver_many


@pytest.mark.django_db(transaction=True)
def test_who_sends_again_and_who_writes_down_never_wait_for_each_other():
    tenant = TenantFactory()
    endpoints = WebhookEndpointFactory.create_batch(4, tenant=tenant)
    rows = [
        OutboundDeliveryFactory(tenant=tenant, endpoint=one) for one in endpoints for _ in range(5)
    ]
    actor = Actor.system("tests")

    def act(index):
        for turn in range(6):
            if index < 4:
                outcomes = [Outcome(one, NOW, status=200) for one in claim(limit=4, now=NOW)]
                record(outcomes, now=NOW)
            elif index < 6:
                redeliver(delivery=rows[(index * 7 + turn) % 20], actor=actor, now=NOW)
            else:
                chosen = Chosen(ids=tuple(row.pk for row in rows), state="DELIVERED")
                redeliver_many(tenant=tenant, chosen=chosen, actor=actor, now=NOW)

    in_threads(8, act)
    while outcomes := [Outcome(one, NOW, status=200) for one in claim(limit=4, now=NOW)]:
        record(outcomes, now=NOW)
    assert not OutboundDelivery.objects.exclude(state="DELIVERED").exists()
    for row in OutboundDelivery.objects.all():
        assert row.attempts.count() == row.attempt_count
