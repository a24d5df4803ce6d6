"""From a published fact to a receiver: signed, logged, tried again, in order, without waiting."""

import json
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.db import connection
from standardwebhooks.webhooks import Webhook

from aforo import addresses
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from tests.factories import NOW, MemberFactory, UserFactory, WebhookEndpointFactory
from tests.threads import in_threads
from webhooks.models import DeliveryAttempt, OutboundDelivery, WebhookEndpoint
from webhooks.outbound import owners, pump, recording
from webhooks.outbound.pump import carry_out
from webhooks.outbound.schedule import PAUSES
from webhooks.outbound.wording import headline, slack_body
from webhooks.services.endpoints import change_endpoint
from webhooks.services.endpoints import test_endpoint as try_endpoint
from webhooks.services.redeliveries import redeliver

DAY = timedelta(days=1)


class Clock:
    """Everybody's time, which a test can set forward."""

    def __init__(self):
        self.ahead = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.ahead  # noqa: TID251 - receivers know no other


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def endpoint(tenant, receiver):
    return WebhookEndpointFactory(tenant=tenant, url=f"{receiver.url}/a")


def numbers(receiver, path="/a"):
    return [json.loads(body)["data"].get("threshold") for body in receiver.bodies(path)]


def test_a_fact_arrives_signed_and_is_logged(endpoint, receiver, tell, clock):
    message = tell(7, subject="s1")
    done = carry_out(now=clock)
    assert (done.messages, done.attempts, done.is_done) == (1, 1, True)

    (taken,) = receiver.taken
    said = Webhook(endpoint.secret).verify(taken.body, taken.headers)
    assert said == {
        "id": f"msg_{message.pk.hex}",
        "type": "dead_letter.threshold_reached",
        "timestamp": "2026-03-15T12:00:00+00:00",
        "tenantId": str(endpoint.tenant_id),
        "subject": "s1",
        "data": {"threshold": 7},
    }
    delivery = OutboundDelivery.objects.get()
    assert (delivery.state, delivery.attempt_count, delivery.last_status) == ("DELIVERED", 1, 200)
    attempt = DeliveryAttempt.objects.get()
    assert attempt.request_headers["webhook-signature"] == taken.headers["webhook-signature"]
    assert (attempt.request_body.encode(), attempt.answer) == (taken.body, "status 200")
    assert carry_out(now=clock).attempts == 0


def test_what_fails_is_tried_again_until_it_is_taken(endpoint, receiver, tell, clock):
    receiver.answers["/a"] = [500, 302]
    tell()
    carry_out(now=clock)
    endpoint.refresh_from_db()
    assert endpoint.failures == 1
    for _ in range(2):
        assert carry_out(now=clock).attempts == 0  # not yet
        clock.ahead += timedelta(minutes=3)
        assert carry_out(now=clock).attempts == 1
    assert [one.status for one in DeliveryAttempt.objects.order_by("id")] == [500, 302, 200]
    assert not receiver.bodies("/elsewhere")  # no redirect is followed
    assert len(set(receiver.bodies("/a"))) == 1
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.failing_since) == (0, None)


def test_later_news_of_a_subject_wait_and_others_do_not(endpoint, receiver, tell, clock):
    receiver.answers["/a"] = [503]
    for number, subject in enumerate(["x", "x", "y", "x"]):
        tell(number, subject=subject)
    carry_out(now=clock)
    assert numbers(receiver) == [0, 2]
    clock.ahead += timedelta(minutes=1)
    carry_out(now=clock)
    assert numbers(receiver) == [0, 2, 0, 1, 3]


def test_what_was_held_back_goes_once_what_it_waited_for_was_taken(endpoint, receiver, tell, clock):
    receiver.answers["/a"] = [500] * 8
    tell(1, subject="s")
    for _ in range(8):
        carry_out(now=clock)
        clock.ahead += DAY / 2
    tell(2, subject="s")
    carry_out(now=clock)
    assert numbers(receiver) == [1] * 9 + [2]
    receiver.answers["/a"] = [500] * 3
    tell(3, subject="s")
    carry_out(now=clock)
    tell(4, subject="s")
    clock.ahead += timedelta(seconds=10)
    carry_out(now=clock)  # 3 fails again, and 4 is held back with it
    first = OutboundDelivery.objects.get(message__payload__threshold=3)
    receiver.answers["/a"] = []
    redeliver(delivery=first, actor=Actor.system("tests"), now=clock())
    carry_out(now=clock)
    assert numbers(receiver)[-2:] == [3, 4]


def test_an_endpoint_that_is_switched_on_or_moved_gets_what_waits_at_once(
    endpoint, receiver, tell, clock
):
    receiver.answers["/a"] = [500] * 2
    tell(1)
    for edits in ({"is_active": False}, {"is_active": True}):
        carry_out(now=clock)
        change_endpoint(endpoint=endpoint, edits=edits, actor=Actor.system("t"), now=clock())
    carry_out(now=clock)
    assert numbers(receiver) == [1, 1]
    edits = {"url": f"{receiver.url}/b"}
    change_endpoint(endpoint=endpoint, edits=edits, actor=Actor.system("t"), now=clock())
    carry_out(now=clock)
    assert numbers(receiver, "/b") == [1]


def test_who_asks_to_be_let_alone_is_sent_nothing_meanwhile_but_a_test(
    endpoint, receiver, tell, clock
):
    receiver.answers["/a"], receiver.retry_after["/a"] = [429], "3600"
    tell(1)
    carry_out(now=clock)
    tell(2)
    clock.ahead += timedelta(minutes=59)
    assert carry_out(now=clock).attempts == 0
    try_endpoint(endpoint=endpoint, now=clock())
    carry_out(now=clock)
    assert numbers(receiver) == [1, 2, None]  # it takes something: no reason to wait
    clock.ahead += timedelta(minutes=2)
    carry_out(now=clock)
    assert numbers(receiver) == [1, 2, None, 1]


@pytest.mark.usefixtures("short_attempts")
def test_who_hangs_delays_nobody(endpoint, receiver, tell, clock, monkeypatch):
    WebhookEndpointFactory(tenant=endpoint.tenant, url=f"{receiver.url}/hangs")
    receiver.hanging.add("/hangs")
    for number in range(5):
        tell(number)
    finished = []
    written = recording.record

    def noted(outcomes, *, now):
        written(outcomes, now=now)
        finished.extend(one.claim.url.rpartition("/")[2] for one in outcomes)

    monkeypatch.setattr(pump, "record", noted)
    carry_out(now=clock)
    assert numbers(receiver) == list(range(5))
    assert finished[:6] == ["a"] * 5 + ["hangs"]  # all, before the other's time is up
    errors = DeliveryAttempt.objects.filter(status=None).values_list("error", flat=True)
    assert set(errors) == {"no answer within 3 seconds"}


@pytest.mark.usefixtures("short_attempts")
def test_names_that_hang_delay_no_letter_and_no_other_endpoint(
    endpoint, receiver, tell, clock, monkeypatch
):
    over, look_up = threading.Event(), socket.getaddrinfo

    def hangs(host, *args, **kwargs):
        if host.endswith("slow.example"):
            over.wait(30)
        return look_up("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    for number in range(70):  # more than there are threads for letters
        WebhookEndpointFactory(tenant=endpoint.tenant, url=f"http://{number}.slow.example/")
    WebhookEndpointFactory(tenant=endpoint.tenant, url="ops@seller.example", format="EMAIL")
    tell(7)
    carry_out(now=clock)
    over.set()
    assert numbers(receiver) == [7]
    assert len(mail.outbox) == 1
    errors = DeliveryAttempt.objects.filter(status=None).exclude(error="")
    assert errors.filter(error="no answer within 3 seconds").count() == 70


def test_what_waits_for_names_of_others_was_not_tried(endpoint, receiver, tell, clock, monkeypatch):
    tell()
    with monkeypatch.context() as patched:
        patched.setattr(addresses, "SHARE", 0)
        carry_out(now=clock)
        clock.ahead += timedelta(seconds=6)
        carry_out(now=clock)
    delivery = OutboundDelivery.objects.get()
    assert (delivery.state, delivery.attempt_count, delivery.retry_step) == ("PENDING", 0, 0)
    assert delivery.last_error == "too many names are being looked up"
    assert not DeliveryAttempt.objects.exists()
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.failing_since, endpoint.claim_id) == (0, None, None)
    clock.ahead += timedelta(seconds=6)
    carry_out(now=clock)
    assert numbers(receiver) == [1]


def test_three_days_are_enough_for_one_delivery(endpoint, receiver, tell, clock):
    receiver.answers["/a"] = [500] * (len(PAUSES) + 1)
    tell()
    for _ in range(len(PAUSES) + 1):
        assert carry_out(now=clock).attempts == 1
        clock.ahead += DAY * 1.2
        WebhookEndpoint.objects.update(failing_since=clock())  # it is not about this here
    delivery = OutboundDelivery.objects.get()
    assert (delivery.state, delivery.last_error) == ("FAILED", "answered 500")
    assert carry_out(now=clock).attempts == 0


def test_five_days_of_failure_switch_an_endpoint_off_and_tell(
    endpoint, tenant, receiver, tell, clock
):
    other = WebhookEndpointFactory(
        tenant=tenant, url=f"{receiver.url}/other", facts=["webhook_endpoint.disabled"]
    )
    MemberFactory(tenant=tenant, user=UserFactory(email="owner@seller.example"))
    receiver.answers["/a"] = [500] * 20
    tell()
    carry_out(now=clock)
    clock.ahead += 5 * DAY
    tell(2)
    carry_out(now=clock)

    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.disabled_at is None) == (False, False)
    assert "answered 500" in endpoint.disabled_reason
    (told,) = receiver.bodies("/other")
    assert json.loads(told)["data"]["endpointId"] == str(endpoint.pk)
    assert AuditEntry.objects.get().action == "WEBHOOK_ENDPOINT_DISABLED"
    assert OutboundDelivery.objects.filter(endpoint=endpoint, state="PENDING").exists()
    assert other.is_active

    assert owners.tell_owners(endpoint_id=endpoint.pk) == 1
    (letter,) = mail.outbox
    assert letter.to == ["owner@seller.example"]
    assert endpoint.url in letter.body


def test_who_says_gone_is_asked_no_more(endpoint, receiver, tell, clock):
    receiver.answers["/a"] = [410]
    tell()
    carry_out(now=clock)
    endpoint.refresh_from_db()
    assert not endpoint.is_active


def test_slack_and_mailboxes_get_lines_for_people(tenant, receiver, tell, clock):
    WebhookEndpointFactory(tenant=tenant, url=f"{receiver.url}/slack", format="SLACK")
    WebhookEndpointFactory(tenant=tenant, url="ops@seller.example", format="EMAIL")
    tell(7)
    carry_out(now=clock)
    (body,) = receiver.bodies("/slack")
    headline = "Aforo: dead_letter.threshold_reached"
    assert json.loads(body) == {"text": f"*{headline}*\nthreshold: 7"}
    (letter,) = mail.outbox
    assert (letter.subject, letter.body) == (headline, "threshold: 7")
    assert set(OutboundDelivery.objects.values_list("state", flat=True)) == {"DELIVERED"}


def test_what_others_wrote_is_no_markup_and_no_header(tenant):
    payload = {"severity": "INFO", "name": "a\r\nBcc: x@y.example <!channel>", "customerId": "R&D"}
    message = OutboxMessage(tenant=tenant, fact="alert.fired", payload=payload, created_at=NOW)
    assert headline(message) == "INFO: a Bcc: x@y.example <!channel>"
    text = json.loads(slack_body(message))["text"]
    assert text.startswith("*INFO: a Bcc: x@y.example &lt;!channel&gt;*\n")
    assert text.endswith("customerId: R&amp;D")


def test_nothing_is_sent_to_private_addresses(tenant, receiver, tell, clock, settings):
    settings.PRIVATE_DESTINATIONS = False
    WebhookEndpointFactory(tenant=tenant, url=receiver.url.replace("http:", "https:"))
    tell()
    carry_out(now=clock)
    assert not receiver.taken
    assert "which is not public" in DeliveryAttempt.objects.get().error


def test_a_secret_that_cannot_be_opened_fails_alone(endpoint, tenant, receiver, tell, clock):
    sealed = WebhookEndpointFactory(tenant=tenant, url=f"{receiver.url}/b")
    WebhookEndpoint.objects.filter(pk=sealed.pk).update(sealed_secret=b"x" * 60)
    tell()
    carry_out(now=clock)
    assert len(receiver.bodies("/a")) == 1
    assert "rotate it" in DeliveryAttempt.objects.exclude(error="").get().error


def test_when_time_is_up_another_goes_on(endpoint, receiver, tell, clock):
    tell()
    assert carry_out(now=clock, seconds=-1).is_done is False
    assert not receiver.taken
    assert carry_out(now=clock).attempts == 1


def test_what_cannot_be_written_down_stops_nobody_else(
    endpoint, receiver, tell, clock, monkeypatch
):
    other = WebhookEndpointFactory(tenant=endpoint.tenant, url=f"{receiver.url}/b")
    settle = recording._settle

    def breaks(row, *args):
        if row.pk == endpoint.pk:
            raise OverflowError("what nobody thought of")
        settle(row, *args)

    tell()
    with monkeypatch.context() as patched:
        patched.setattr(recording, "_settle", breaks)
        carry_out(now=clock)
        first, second = (OutboundDelivery.objects.get(endpoint=one) for one in (endpoint, other))
        assert (first.state, second.state) == ("PENDING", "DELIVERED")
        assert first.last_error == "what became of it could not be written down: OverflowError"
        assert not WebhookEndpoint.objects.exclude(claim_id=None).exists()
        assert carry_out(now=clock).attempts == 0  # not at once for ever
    clock.ahead += timedelta(hours=2)
    carry_out(now=clock)
    first.refresh_from_db()
    assert (first.state, first.last_error) == ("DELIVERED", "")


def test_a_page_that_takes_longer_than_a_lease_sends_nothing_twice(
    endpoint, receiver, tell, clock, monkeypatch
):
    carry_page, send, sent, pages = pump.carry_page, pump.Sender.send, [], []

    def slow(*, now):
        pages.append(now)
        if len(pages) == 2:
            clock.ahead += timedelta(minutes=1)
            receiver.over.set()
            sent[0].result(10)
        return carry_page(now=now)

    def noted(sender, claimed):
        sent.append(send(sender, claimed))
        return sent[-1]

    monkeypatch.setattr(pump, "carry_page", slow)
    monkeypatch.setattr(pump.Sender, "send", noted)
    receiver.hanging.add("/a")
    tell()
    carry_out(now=clock)
    assert len(receiver.bodies("/a")) == 1


@pytest.mark.django_db(transaction=True)
def test_of_four_carriers_one_carries(endpoint, receiver, tell, clock):
    for number in range(10):
        tell(number, subject="same")
    done = in_threads(4, lambda _: carry_out(now=clock))
    assert sum(one.attempts for one in done) == 10
    assert numbers(receiver) == list(range(10))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert cursor.fetchone() == (0,)
    assert not OutboxMessage.objects.filter(carried_at=None).exists()
