"""Customers are told themselves of their allowances, as they like it, until it is taken."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail.backends import locmem

from aforo.ids import new_id
from aforo.outbox.facts import facts
from aforo.outbox.models import OutboxMessage
from aforo.outbox.services import publish
from tests.factories import NOW, CustomerFactory, SandboxFactory, TenantFactory
from tests.threads import in_threads
from tests.webhooks.outbound.smtp import mail_server
from webhooks.models import CustomerLetter, CustomerPreference
from webhooks.outbound import customer_mail, letter_trips, turns
from webhooks.outbound.carrying import carry_page
from webhooks.outbound.customer_mail import forget_letters, send_letters

FACT = "quota.threshold_reached"


@pytest.fixture
def customer(tenant):
    return CustomerFactory(tenant=tenant, external_id="cust_1", email="ann@example.com")


def reached(tenant, at=NOW, **said):
    payload = facts()[FACT].example | {"customerId": "cust_1", "customerEmail": "ann@example.com"}
    publish(tenant_id=tenant.pk, fact=FACT, payload=payload | said, now=at)
    carry_page(now=NOW)
    return list(CustomerLetter.objects.order_by("id"))


def prefer(customer, **said):
    CustomerPreference.objects.create(tenant=customer.tenant, customer=customer, **said)


def test_a_customer_is_written_to_once(tenant, customer):
    said = {"metric": "tokens", "threshold": 100, "projectedPercent": "103.2", "used": "412"}
    (letter,) = reached(tenant, included="1000", projected="1032", hardLimit=True, **said)
    assert send_letters(now=lambda: NOW) == 1
    assert send_letters(now=lambda: NOW + timedelta(days=1)) == 0
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (
        ["ann@example.com"],
        "tokens: on the way to 100 % of what is included",
    )
    assert "Used so far: 412 of 1000" in sent.body
    assert "further use is refused" in sent.body
    letter.refresh_from_db()
    assert (letter.state, letter.finished_at, letter.told_at) == ("SENT", NOW, NOW)
    assert forget_letters(now=NOW + timedelta(days=40)) == 1


def test_who_does_not_want_letters_gets_none(tenant, customer):
    assert not reached(tenant, audience=["OPERATOR"])
    assert not reached(tenant, customerEmail="")
    assert not reached(tenant, customerId="nobody")
    prefer(customer, fact="", channels=["WEBHOOK"])
    assert not reached(tenant)
    prefer(customer, fact=FACT, channels=["EMAIL"], cooldown=timedelta(days=1))
    assert len(reached(tenant)) == 1
    assert len(reached(tenant, at=NOW + timedelta(hours=23))) == 1
    assert len(reached(tenant, at=NOW + timedelta(hours=25))) == 2


def test_nobody_is_written_to_from_a_sandbox(db):
    sandbox = SandboxFactory()
    CustomerFactory(tenant=sandbox, external_id="cust_1", email="ann@example.com")
    assert not reached(sandbox)


def test_a_letter_is_tried_again_and_given_up_in_the_end(tenant, customer, monkeypatch):
    class Hangs(letter_trips.EmailMessage):
        def send(self):
            raise TimeoutError("timed out")

    (letter,) = reached(tenant)
    with monkeypatch.context() as patched:
        patched.setattr(letter_trips, "EmailMessage", Hangs)
        assert send_letters(now=lambda: NOW) == 0
        letter.refresh_from_db()
        assert (letter.state, letter.attempts, letter.last_error) == ("WAITING", 1, "timed out")
        assert letter.next_attempt_at == NOW + timedelta(minutes=1)
        at = NOW
        for _ in range(5):
            at += timedelta(days=1)
            send_letters(now=lambda at=at: at)
    letter.refresh_from_db()
    assert (letter.state, letter.attempts, letter.finished_at) == ("FAILED", 6, at)
    assert not mail.outbox


def test_while_the_server_of_mail_is_away_nothing_is_tried(tenant, customer, monkeypatch):
    (letter,) = reached(tenant)

    def away(self):
        raise ConnectionRefusedError("nobody there")

    at = NOW
    with monkeypatch.context() as patched:
        patched.setattr(locmem.EmailBackend, "open", away)
        for _ in range(7):
            assert send_letters(now=lambda at=at: at) == 0
            at += timedelta(hours=1)
    letter.refresh_from_db()
    assert (letter.state, letter.attempts, letter.last_error) == ("WAITING", 0, "nobody there")
    assert letter.next_attempt_at == at - timedelta(minutes=59)
    assert send_letters(now=lambda at=at: at) == 1
    assert len(mail.outbox) == 1


def test_a_value_with_a_new_line_is_no_header(tenant, customer):
    (letter,) = reached(
        tenant, metric="tokens", dimension='{"model":"a\\r\\nBcc: all@example.com"}'
    )
    assert letter.title.startswith("tokens (model: a Bcc: all@example.com): on the way to ")
    CustomerLetter.objects.update(title="of\nbefore")
    assert send_letters(now=lambda: NOW) == 1
    assert mail.outbox[0].subject == "of before"


def test_a_letter_that_cannot_be_written_stops_no_message(tenant, customer):
    assert not reached(tenant, periodEnd="some day")
    assert not OutboxMessage.objects.filter(carried_at=None).exists()
    assert len(reached(tenant)) == 1


def letters_to(tenant, *addresses):
    customer = CustomerFactory(tenant=tenant)
    return CustomerLetter.objects.bulk_create(
        CustomerLetter(
            tenant=tenant,
            customer=customer,
            message_id=new_id(),
            fact=FACT,
            address=address,
            title="t",
            text="x",
            told_at=NOW,
            next_attempt_at=NOW,
            created_at=NOW,
        )
        for address in addresses
    )


def states(letters):
    rows = CustomerLetter.objects.filter(pk__in=[one.pk for one in letters]).order_by("pk")
    return list(rows.values_list("state", "attempts"))


@pytest.mark.parametrize(("patience", "visits"), [(1, 3), (20, 3)])
def test_an_address_that_is_refused_costs_no_letter_of_others(tenant, settings, patience, visits):
    bad = letters_to(tenant, "bad1@a.example", "bad2@a.example")
    good = letters_to(TenantFactory(), *(f"good{number}@b.example" for number in range(3)))
    with mail_server(settings) as server:
        server.patience = patience
        assert send_letters(now=lambda: NOW) == 3
        assert server.taken == [one.address for one in good]
        assert server.visits == visits
    assert states(bad) == [("WAITING", 1)] * 2
    assert states(good) == [("SENT", 1)] * 3


def test_when_the_server_goes_away_the_rest_of_the_page_was_not_tried(
    tenant, settings, monkeypatch
):
    letters = letters_to(tenant, "bad1@a.example", "good1@b.example", "good2@b.example")
    opens = []

    class Leaves(locmem.EmailBackend):
        def open(self):
            opens.append(self)
            if len(opens) == 2:
                raise ConnectionRefusedError("nobody there")

        def send_messages(self, messages):
            raise TimeoutError("hung up")

    monkeypatch.setattr("webhooks.outbound.mail_server.get_connection", Leaves)
    assert send_letters(now=lambda: NOW) == 0
    assert states(letters) == [("WAITING", 1), ("WAITING", 0), ("WAITING", 0)]
    waiting = CustomerLetter.objects.filter(last_error="nobody there")
    assert {one.next_attempt_at for one in waiting} == {NOW + timedelta(minutes=1)}
    assert len(opens) == 2


def test_when_time_is_up_another_task_goes_on(tenant, monkeypatch, settings):
    asked = []
    letters = letters_to(tenant, "a@a.example", "b@b.example")
    monkeypatch.setattr(customer_mail, "enqueue", asked.append)
    with monkeypatch.context() as patched:
        patched.setattr(customer_mail, "LONGEST_SECONDS", 0.1)
        with mail_server(settings) as server:
            server.pauses["MAIL"] = 0.2
            assert send_letters(now=lambda: NOW) == 1
    assert asked == [customer_mail.TASK]
    assert states(letters) == [("SENT", 1), ("WAITING", 0)]
    with mail_server(settings):
        assert send_letters(now=lambda: NOW) == 1
    assert asked == [customer_mail.TASK]


@pytest.mark.django_db(transaction=True)
def test_one_at_a_time_writes_to_customers(tenant):
    letters_to(tenant, "a@a.example")
    with turns.alone(customer_mail._ALONE):
        assert in_threads(1, lambda _: send_letters(now=lambda: NOW)) == [0]
    assert send_letters(now=lambda: NOW) == 1


def test_a_letter_that_was_handed_over_and_not_answered_is_not_sent_again(tenant, settings):
    settings.EMAIL_TIMEOUT = 0.2
    letters = letters_to(tenant, "a@a.example", "b@b.example")
    with mail_server(settings) as server:
        server.pauses["."] = 0.4
        for hours in (0, 1, 2):
            assert send_letters(now=lambda hours=hours: NOW + timedelta(hours=hours)) == 0
        assert server.visits == 2
    assert states(letters) == [("SENT", 1)] * 2
    said = set(CustomerLetter.objects.values_list("last_error", "finished_at"))
    assert said == {("handed over, no answer", NOW)}


def test_a_text_that_is_refused_is_tried_again(tenant, settings):
    letters = letters_to(tenant, "a@a.example", "b@b.example")
    with mail_server(settings) as server:
        server.verdicts = ["554 spam"]
        assert send_letters(now=lambda: NOW) == 1
    assert states(letters) == [("WAITING", 1), ("SENT", 1)]


def test_what_is_written_while_another_sends_waits_for_nobody(tenant, monkeypatch):
    sends, seconds, written = locmem.EmailBackend.send_messages, [], []

    def now():
        return NOW + timedelta(seconds=len(seconds))

    def write(address):
        written.extend(letters_to(tenant, address))
        seconds.append(1)
        CustomerLetter.objects.filter(address=address).update(next_attempt_at=now())

    def meanwhile(backend, messages):
        if len(seconds) == 0:
            write("late@a.example")
        return sends(backend, messages)

    @contextmanager
    def last(lock):
        with turns.alone(lock) as is_mine:
            yield is_mine
            if len(seconds) == 1:
                write("last@a.example")  # its task finds the lock taken

    monkeypatch.setattr(locmem.EmailBackend, "send_messages", meanwhile)
    monkeypatch.setattr(customer_mail, "alone", last)
    letters_to(tenant, "a@a.example")
    assert send_letters(now=now) == 3
    assert states(written) == [("SENT", 1)] * 2
