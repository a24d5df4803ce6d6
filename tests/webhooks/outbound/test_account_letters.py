"""The seller's account managers are written to when a margin guard warns of their customers."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail

from aforo.outbox.facts import facts
from aforo.outbox.models import OutboxMessage
from aforo.outbox.services import publish
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Customer
from catalog.services.customers import edit_customer
from metering.models import MarginGuard
from metering.services import margins
from tests.factories import (
    NOW,
    CostEventFactory,
    CustomerFactory,
    SandboxFactory,
    TenantFactory,
)
from tests.metering.conftest import catalog_changed
from tests.metering.events import event
from webhooks.models import CustomerLetter, CustomerPreference
from webhooks.outbound.account_letters import FACT
from webhooks.outbound.carrying import carry_page
from webhooks.outbound.customer_mail import send_letters

GUARD = "0197a0c2-1f00-7a22-b5b1-0a1b2c3d4e5f"
EVE = "eve@seller.test"
TEXT = """\
The margin of Acme (cust_1) has fallen below 20 %.

Customer: Acme (cust_1)
Guard: min-30, which looks at all that the customer uses
Margin now: 19.99 %, the threshold is 20 %
Revenue: 123,456.79 USD
Cost: 98,765.44 USD
Since: 15 March 2026, 12:05 UTC

The guard: https://aforo.test/admin/metering/marginguard/0197a0c2-1f00-7a22-b5b1-0a1b2c3d4e5f/change/

You are told because you are the account manager of this customer. You are told of this threshold
again when the margin has risen over it and fallen once more.

Seller
"""


@pytest.fixture
def tenant(db):
    return TenantFactory(name="Seller")


@pytest.fixture
def customer(tenant):
    return CustomerFactory(
        tenant=tenant,
        external_id="cust_1",
        name="Acme",
        email="billing@acme.test",
        account_manager_email=EVE,
    )


def warned(tenant, **said):
    """Publish a warning, carry it, and say whom letters are written to."""
    payload = facts()[FACT].example | {"customerId": "cust_1", "guardId": GUARD}
    publish(tenant_id=tenant.pk, fact=FACT, payload=payload | said, now=NOW)
    carry_page(now=NOW)
    assert not OutboxMessage.objects.filter(carried_at=None).exists()
    return list(CustomerLetter.objects.order_by("id").values_list("address", flat=True))


def test_an_account_manager_is_written_to_once(tenant, customer, settings):
    settings.SITE_URL = "https://aforo.test/"
    numbers = {"revenue": "123456.789", "cost": "98765.44", "marginPercent": "19.99996"}
    assert warned(tenant, metric=None, floorPercent="20", **numbers) == [EVE]
    OutboxMessage.objects.update(carried_at=None)  # the same alert again
    carry_page(now=NOW)
    assert send_letters(now=lambda: NOW) == 1
    assert send_letters(now=lambda: NOW + timedelta(days=1)) == 0
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == ([EVE], "Acme (cust_1): margin below 20 % (19.99 %)")
    assert sent.body == TEXT


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"revenue": "0", "cost": "1.5", "marginPercent": None}, "Margin now: no revenue, the"),
        ({"currency": "JPY", "cost": "98765.4"}, "Cost: 98,765 JPY"),
        ({"floorPercent": "20.123456"}, "the threshold is 20.13 %"),
        ({"metric": "tokens"}, "which looks at tokens"),
        ({"mode": "ALERT_ONLY", "level": "L3_BLOCK"}, "requests would be blocked now."),
    ],
)
def test_a_letter_says_what_it_is_about(tenant, customer, said, line):
    warned(tenant, **said)
    assert line in CustomerLetter.objects.get().text


def test_each_alert_of_a_guard_is_one_letter(seller):
    customer = Customer.objects.get()
    Customer.objects.update(account_manager_email=EVE)
    guard = MarginGuard.objects.create(tenant=seller.tenant, code="all", created_at=NOW)
    seller.count(*(event(f"{number}") for number in range(100)))  # 2 in, 0.1 out
    Tenant.objects.update(live_twin=None, clock_frozen_at=None)

    def letters(**edits):
        MarginGuard.objects.update(**edits)
        catalog_changed(seller.tenant)
        margins.evaluate_tenant(tenant_id=seller.tenant.pk, now=NOW)
        carry_page(now=NOW)
        return CustomerLetter.objects.filter(customer=customer, address=EVE).count()

    assert letters(warn_below=20) == 0
    CostEventFactory(tenant=seller.tenant, customer_id=customer.pk, amount=Decimal("1.52"))
    assert letters(warn_below=20) == letters(warn_below=20) == 1
    CostEventFactory(tenant=seller.tenant, customer_id=customer.pk, amount=Decimal("0.01"))
    assert letters(warn_below=20) == 1
    assert letters(warn_below=15) == 1  # it has recovered
    assert letters(warn_below=20) == 2
    newest = CustomerLetter.objects.latest("id")
    assert newest.title == "cust_1: margin below 20 % (18.5 %)"
    assert f"/marginguard/{guard.pk}/change/" in newest.text


def test_without_an_account_manager_nobody_is_written_to(tenant, customer):
    CustomerFactory(tenant=tenant, external_id="cust_2", email="ann@example.com")
    assert warned(tenant, customerId="cust_2") == []
    assert warned(tenant, customerId="nobody") == []
    for address in ("bob@seller.test", ""):  # those who carry look at the address of by then
        edits = {"account_manager_email": address}
        edit_customer(customer=customer, edits=edits, actor=Actor.system(), now=NOW)
        assert warned(tenant) == ["bob@seller.test"]


def test_only_the_customers_own_tenant_is_looked_at(tenant, customer):
    other, sandbox = TenantFactory(), SandboxFactory()
    assert warned(other) == []
    for owner in (other, sandbox):
        CustomerFactory(
            tenant=owner, external_id="cust_1", account_manager_email="bob@elsewhere.test"
        )
    assert warned(sandbox) == []
    assert warned(tenant) == [EVE]


def test_what_the_customer_prefers_is_no_matter_of_the_account_manager(tenant, customer):
    CustomerPreference.objects.create(
        tenant=tenant, customer=customer, fact="", channels=[], cooldown=timedelta(days=1)
    )
    assert warned(tenant) == [EVE]


def test_a_letter_that_cannot_be_written_stops_no_message(tenant, customer):
    assert warned(tenant, raisedAt="some day") == []
    assert warned(tenant, floorPercent=None) == []
    assert warned(tenant) == [EVE]


def test_a_name_with_a_new_line_is_no_line_of_its_own(tenant, customer):
    customer.name = "Acme\r\nBcc: all@example.com"
    customer.save()
    warned(tenant)
    letter = CustomerLetter.objects.get()
    assert letter.title.startswith("Acme Bcc: all@example.com (cust_1): margin below ")
    assert "\nBcc" not in letter.text
