"""One attempt: how it ends when the other side, or our own server of mail, takes its time."""

from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from smtplib import SMTPRecipientsRefused, SMTPServerDisconnected
from threading import Event, Thread

import pytest
from django.core import mail
from django.core.mail.backends import locmem

from tests.factories import MemberFactory, UserFactory, WebhookEndpointFactory
from tests.webhooks.outbound.smtp import mail_server
from webhooks.models import DeliveryAttempt, OutboundDelivery
from webhooks.outbound import mailing, owners, sending
from webhooks.outbound.mail_server import NoAnswer
from webhooks.outbound.pump import carry_out


def now():
    return datetime.now(UTC)  # noqa: TID251 - receivers know no other


def later():
    return now() + timedelta(hours=6)


@pytest.fixture
def mailbox(tenant, tell):
    tell(7)
    return WebhookEndpointFactory(tenant=tenant, url="ops@seller.example", format="EMAIL")


@pytest.fixture
def in_a_second(monkeypatch):
    monkeypatch.setattr(sending, "SECONDS", 1)


def outcome(endpoint):
    endpoint.refresh_from_db()
    delivery = OutboundDelivery.objects.get()
    return delivery.state, delivery.attempt_count, endpoint.failures


@pytest.mark.usefixtures("in_a_second")
def test_a_server_that_looks_at_a_letter_for_long_gets_it_once(mailbox, settings):
    with mail_server(settings) as server:
        server.pauses["."] = 0.9
        for moment in (now, later):
            carry_out(now=moment)
        assert server.taken == ["ops@seller.example"]
    assert outcome(mailbox) == ("DELIVERED", 1, 0)


@pytest.mark.usefixtures("in_a_second")
def test_what_is_slow_beyond_its_time_and_sent_was_sent_once(mailbox, monkeypatch):
    send, pause = locmem.EmailBackend.send_messages, Event()

    def slow(backend, messages):
        pause.wait(1.3)
        return send(backend, messages)

    monkeypatch.setattr(locmem.EmailBackend, "send_messages", slow)
    for moment in (now, later):
        carry_out(now=moment)
    assert len(mail.outbox) == 1
    assert outcome(mailbox) == ("DELIVERED", 1, 0)


@pytest.mark.usefixtures("in_a_second")
@pytest.mark.parametrize("seconds", [0, 0.7, 1.5])
def test_a_server_of_mail_that_cannot_be_reached_is_no_failure_of_an_endpoint(
    mailbox, monkeypatch, seconds
):
    pause = Event()

    def away(_):
        pause.wait(seconds)
        if not seconds:
            raise ConnectionRefusedError("nobody there")

    with monkeypatch.context() as patched:
        patched.setattr(locmem.EmailBackend, "open", away)
        carry_out(now=now)
        assert outcome(mailbox) == ("PENDING", 0, 0)
        assert "the server of mail" in OutboundDelivery.objects.get().last_error
    assert not mail.outbox
    carry_out(now=later)
    assert len(mail.outbox) == 1
    assert outcome(mailbox) == ("DELIVERED", 1, 0)


def test_who_is_refused_fails(mailbox, settings):
    mailbox.url = "bad@seller.example"
    mailbox.save()
    with mail_server(settings):
        carry_out(now=now)
    assert outcome(mailbox) == ("PENDING", 1, 1)


def test_a_line_can_be_cut(settings):
    message = mail.EmailMessage("t", "x", to=["a@b.example"])
    with mail_server(settings) as server:
        server.pauses["."] = 5
        one = mailing.Mailing(message, seconds=20)
        errors = []

        def send():
            try:
                one.send()
            except NoAnswer as error:
                errors.append(error)

        thread = Thread(target=send)
        thread.start()
        assert server.reading.wait(3)
        assert not one.give_up()
        one.hang_up()
        thread.join(3)
        assert not thread.is_alive()
        assert len(errors) == 1


class Drips(BaseHTTPRequestHandler):
    """Takes what comes, and never ends saying so."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"2\r\nok\r\n")
        if self.path == "/drips":
            self.server.over.wait(10)
        self.close_connection = True

    def log_message(self, *args):
        """Nothing: tests say enough."""


@pytest.mark.usefixtures("in_a_second")
@pytest.mark.parametrize("path", ["/drips", "/breaks-off"])
def test_a_status_counts_however_its_body_ends(tenant, tell, settings, path):
    settings.PRIVATE_DESTINATIONS = True
    server = ThreadingHTTPServer(("127.0.0.1", 0), Drips)
    server.over = Event()
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}{path}"
        endpoint = WebhookEndpointFactory(tenant=tenant, url=url)
        tell(1)
        carry_out(now=now)
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
    assert outcome(endpoint) == ("DELIVERED", 1, 0)
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.status, attempt.answer, attempt.error) == (200, "ok", "")


@pytest.mark.usefixtures("in_a_second")
def test_a_letter_that_was_handed_over_and_not_answered_is_no_failure_of_a_mailbox(
    mailbox, settings, monkeypatch
):
    monkeypatch.setattr(sending, "_GRACE", 0.1)
    with mail_server(settings) as server:
        server.pauses["."] = 1.3
        for moment in (now, later):
            carry_out(now=moment)
        assert server.visits == 1
    assert outcome(mailbox) == ("DELIVERED", 1, 0)
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.answer, attempt.error) == ("handed over, no answer", "")


@pytest.fixture
def asked(tenant, monkeypatch):
    """Five who own an endpoint that was switched off; which of them are asked for again."""
    asked = []
    monkeypatch.setattr(owners, "enqueue", lambda _, *, address, **__: asked.append(address[0]))
    for one in "abcde":
        MemberFactory(tenant=tenant, user=UserFactory(email=f"{one}@x.example"))
    return asked


@pytest.fixture
def disabled(tenant):
    return WebhookEndpointFactory(tenant=tenant, is_active=False, disabled_reason="gone").pk


def test_an_owner_whose_address_is_refused_costs_no_other_the_letter(asked, disabled, monkeypatch):
    answers = {
        "a": SMTPRecipientsRefused({"a@x.example": (450, b"later")}),
        "b": SMTPRecipientsRefused({"b@x.example": (550, b"no such user")}),
        "c": SMTPServerDisconnected("hung up"),
        "d": ValueError("no address"),
    }
    send = locmem.EmailBackend.send_messages

    def refuses(backend, messages):
        if error := answers.get(messages[0].to[0][0]):
            raise error
        return send(backend, messages)

    monkeypatch.setattr(locmem.EmailBackend, "send_messages", refuses)
    assert owners.tell_owners(endpoint_id=disabled) == 1
    assert [one.to for one in mail.outbox] == [["e@x.example"]]
    assert asked == ["a", "c"]
    for one in "ac":  # what may heal comes again, for this address alone
        with pytest.raises(OSError, match=r"later|hung up"):
            owners.tell_owners(endpoint_id=disabled, address=f"{one}@x.example")
    answers.clear()
    assert owners.tell_owners(endpoint_id=disabled, address="a@x.example") == 1
    assert owners.tell_owners(endpoint_id=disabled, address="nobody@x.example") == 0
    assert len(mail.outbox) == 2


def test_when_mail_goes_away_halfway_the_other_owners_are_asked_for_again(
    asked, disabled, monkeypatch
):
    def opens(_):
        if len(mail.outbox) == 2:
            raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(locmem.EmailBackend, "open", opens)
    assert owners.tell_owners(endpoint_id=disabled) == 2
    assert asked == ["c", "d", "e"]


def test_an_owner_of_whom_there_is_no_answer_is_not_written_to_again(asked, disabled, settings):
    settings.EMAIL_TIMEOUT = 0.2
    with mail_server(settings) as server:
        server.pauses["."] = 0.4
        assert owners.tell_owners(endpoint_id=disabled) == 5
    assert not asked
