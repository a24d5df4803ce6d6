"""Old pushes are forgotten: payloads where events came of them, else the whole row."""

from datetime import timedelta

import pytest
from django.utils import timezone

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from tests.clients import operator_client
from tests.factories import WebhookDeliveryFactory, WebhookSourceFactory
from webhooks.models import WebhookDelivery
from webhooks.services import forgetting
from webhooks.services.previews import preview_latest
from webhooks.services.replays import replay_delivery

OLD = timedelta(days=91)


def test_old_payloads_are_forgotten_and_where_events_came_from_is_not(
    seller, settings, monkeypatch
):
    monkeypatch.setattr(forgetting, "PAGE", 2)
    now, source = timezone.now(), WebhookSourceFactory(tenant=seller.tenant)

    def push(verdict, age=OLD, **fields):
        return WebhookDeliveryFactory(
            tenant=seller.tenant, source=source, verdict=verdict, arrived_at=now - age, **fields
        )

    counted = push("ACCEPTED", event_count=3)
    partly = push("UNMAPPED", event_count=1, parked=[1], detail="quotes it")
    for verdict in ("UNMAPPED", "DUPLICATE", "FILTERED", "BAD_SIGNATURE"):
        push(verdict)
    waiting, young = push("RECEIVED"), push("ACCEPTED", timedelta(days=89), event_count=1)

    settings.KEEP_PUSHES_DAYS = 0
    assert forgetting.forget_pushes(now=now) == 1  # of what nobody has signed nothing stays
    settings.KEEP_PUSHES_DAYS = 90
    assert forgetting.forget_pushes(now=now) == 5
    assert forgetting.forget_pushes(now=now) == 0

    kept = {one.pk: one for one in WebhookDelivery.objects.all()}
    assert kept.keys() == {counted.pk, partly.pk, waiting.pk, young.pk}
    gone = {key for key, one in kept.items() if not bytes(one.payload)}
    assert gone == {key for key, one in kept.items() if one.forgotten_at} == {counted.pk, partly.pk}
    assert kept[partly.pk].detail == ""  # it may quote what is forgotten
    assert kept[counted.pk].batch_id == counted.batch_id

    answer = operator_client(seller.tenant).get(f"/api/v1/webhook-deliveries/{counted.pk}").json()
    assert (answer["payload"], answer["eventCount"]) == ("", 3)
    assert answer["forgottenAt"] is not None
    with pytest.raises(Conflict, match="not kept"):
        replay_delivery(delivery=partly, actor=Actor.system("test"), now=now)
    assert {one.delivery_id for one in preview_latest(source=source, count=9)} == {
        waiting.pk,
        young.pk,
    }


def test_what_nobody_has_signed_is_kept_for_a_week(seller):
    now, source = timezone.now(), WebhookSourceFactory(tenant=seller.tenant)
    for verdict in ("BAD_SIGNATURE", "STALE", "UNREADABLE"):
        for days in (6, 8):
            WebhookDeliveryFactory(
                tenant=seller.tenant,
                source=source,
                verdict=verdict,
                arrived_at=now - timedelta(days=days),
            )
    assert forgetting.forget_pushes(now=now) == 2
    left = WebhookDelivery.objects.filter(arrived_at__lt=now - timedelta(days=7))
    assert [one.verdict for one in left] == ["UNREADABLE"]
