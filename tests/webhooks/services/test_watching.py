"""A source that fails is told of once, and once more when it works again."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.services.actors import Actor
from tests.factories import NOW, WebhookDeliveryFactory, WebhookSourceFactory
from tests.metering.events import codes
from tests.webhooks.conftest import Sender, map_all
from webhooks.inbound.rules import Rule
from webhooks.services.mappings import replace_rules
from webhooks.services.replays import Chosen, replay_deliveries
from webhooks.services.watching import FAILURES, watch_sources

FAILING, RECOVERED = "webhook_source.failing", "webhook_source.recovered"


def facts():
    return list(OutboxMessage.objects.order_by("id").values_list("fact", flat=True))


@pytest.fixture
def source(seller):
    return WebhookSourceFactory(tenant=seller.tenant, name="payments")


@pytest.fixture
def comes(source):
    """Push after push comes with a verdict, and the sweep looks."""

    def come(*verdicts):
        for verdict in verdicts:
            WebhookDeliveryFactory(
                tenant=source.tenant, source=source, verdict=verdict, detail="why"
            )
        return watch_sources(now=timezone.now())

    return come


def test_failing_in_a_row_is_told_once_and_so_is_the_recovery(source, comes):
    assert comes() == 0
    assert comes(*["BAD_SIGNATURE"] * (FAILURES - 1), "RECEIVED") == 0
    assert comes("UNMAPPED") == 1
    assert comes("STALE", "UNREADABLE") == 0
    source.refresh_from_db()
    assert source.failing_since is not None
    message = OutboxMessage.objects.get()
    assert (message.fact, message.subject) == (FAILING, str(source.pk))
    assert message.created_at == NOW  # of the tenant's clock
    about = {"name": "payments", "failures": FAILURES, "reason": "UNMAPPED", "detail": "why"}
    assert about.items() <= message.payload.items()

    assert comes("ACCEPTED") == 1
    assert comes("ACCEPTED") == 0
    source.refresh_from_db()
    assert source.failing_since is None
    assert comes(*["STALE"] * FAILURES) == 1
    assert facts() == [FAILING, RECOVERED, FAILING]


def test_one_success_among_failures_is_no_alarm(comes):
    assert comes("STALE", "STALE", "FILTERED", "STALE", "STALE") == 0


def test_a_source_that_was_removed_is_let_be(seller, source, comes):
    source.archived_at = NOW
    source.save()
    assert comes(*["STALE"] * FAILURES) == 0


def test_any_number_of_sources_costs_one_question(seller, django_assert_num_queries):
    for _ in range(3):
        source = WebhookSourceFactory(tenant=seller.tenant)
        WebhookDeliveryFactory(tenant=seller.tenant, source=source)
    with django_assert_num_queries(1):
        watch_sources(now=NOW)


def test_a_source_of_which_nothing_but_dead_letters_come_fails(seller, source):
    def push(metric, number):
        event = {"customerId": "cust_1", "metricName": metric, "quantity": 1, "id": number}
        Sender(source, seller.client).push(event)
        map_all()

    later = timezone.now() + timedelta(minutes=1)
    for number in range(FAILURES):
        push("unknown", number)
    assert watch_sources(now=later) == 0  # not counted yet
    seller.drain()
    assert watch_sources(now=timezone.now()) == 0  # the last ones may not be
    assert watch_sources(now=later) == 1
    message = OutboxMessage.objects.get(fact=FAILING)
    assert message.payload["reason"] == "DEAD_LETTERS"
    assert "UNKNOWN_METRIC" in message.payload["detail"]

    push("tokens", FAILURES)
    assert watch_sources(now=later) == 0
    seller.drain()
    assert watch_sources(now=later) == 1
    assert OutboxMessage.objects.filter(fact=RECOVERED).exists()


@pytest.mark.parametrize(("metric", "told"), [("tokens", 0), ("unknown", 1)])
def test_a_replay_that_gives_dead_letters_is_no_failure_of_what_had_counted(
    seller, source, metric, told
):
    rule = Rule(customer="$.c", metric=metric, quantity="$.q")
    replace_rules(source, [rule])
    for number in range(FAILURES):
        Sender(source, seller.client).push({"c": "cust_1", "q": 3, "id": str(number)})
    map_all()
    seller.drain()
    replace_rules(source, [replace(rule, quantity_scale=Decimal(2))])
    replay_deliveries(
        tenant=seller.tenant,
        chosen=Chosen(source_id=source.pk, verdict="ACCEPTED"),
        actor=Actor.system("test"),
        now=NOW,
    )
    map_all()
    later = timezone.now() + timedelta(minutes=1)
    assert watch_sources(now=later) == 0  # the new batches are not counted yet
    seller.drain()
    assert len(codes()) == FAILURES * (1 + told)
    assert watch_sources(now=later) == told
