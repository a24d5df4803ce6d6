"""Customers are told themselves of their allowances, as they like it, until it is taken."""

from datetime import timedelta

import pytest
from django.core import mail

from aforo.outbox.facts import facts
from aforo.outbox.services import publish
from tests.factories import NOW, CustomerFactory, SandboxFactory
from webhooks.models import CustomerLetter, CustomerPreference
from webhooks.outbound import customer_mail
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
    assert send_letters(now=NOW) == 1
    assert send_letters(now=NOW + timedelta(days=1)) == 0
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
    class Hangs(customer_mail.EmailMessage):
        def send(self):
            raise TimeoutError("timed out")

    (letter,) = reached(tenant)
    with monkeypatch.context() as patched:
        patched.setattr(customer_mail, "EmailMessage", Hangs)
        assert send_letters(now=NOW) == 0
        letter.refresh_from_db()
        assert (letter.state, letter.attempts, letter.last_error) == ("WAITING", 1, "timed out")
        assert letter.next_attempt_at == NOW + timedelta(minutes=1)
        at = NOW
        for _ in range(5):
            at += timedelta(days=1)
            send_letters(now=at)
    letter.refresh_from_db()
    assert (letter.state, letter.attempts, letter.finished_at) == ("FAILED", 6, at)
    assert not mail.outbox
