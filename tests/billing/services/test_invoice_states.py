from datetime import UTC, datetime, timedelta

import pytest

from aforo.errors import Conflict
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry, Tenant
from aforo.tenancy.services.actors import Actor
from billing.models import Invoice
from billing.services.invoice_states import LEGAL, mark_overdue, mark_uncollectible
from tests.factories import InvoiceFactory, SandboxFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
DUE = datetime(2026, 4, 16, tzinfo=UTC)
ACTOR = Actor.system("tests")
WHY = {"reason": "bankrupt", "actor": ACTOR, "now": DUE}


def issued(**fields):
    owed = {"subtotal": 5, "total": 5, "status": "OPEN", "number": "INV-1", "due_at": DUE}
    return InvoiceFactory(**owed | fields)


def test_the_states_are_those_of_the_published_machine():
    assert {str(state): sorted(map(str, after)) for state, after in LEGAL.items()} == {
        "DRAFT": ["OPEN", "VOID"],
        "OPEN": ["OVERDUE", "PAID", "VOID"],
        "OVERDUE": ["PAID", "UNCOLLECTIBLE", "VOID"],
        "UNCOLLECTIBLE": ["VOID"],
        "PAID": [],
        "VOID": [],
    }


def test_an_open_invoice_is_overdue_from_its_due_date_on():
    invoice = issued()
    assert mark_overdue(now=DUE - timedelta(microseconds=1)) == 0
    assert mark_overdue(now=DUE) == 1
    assert mark_overdue(now=DUE) == 0
    invoice.refresh_from_db()
    assert invoice.status == "OVERDUE"
    message = OutboxMessage.objects.get(fact="invoice.overdue")
    assert message.payload["invoiceId"] == str(invoice.id)


def test_the_clock_of_a_sandbox_says_what_is_overdue_there():
    sandbox = SandboxFactory(clock_frozen_at=DUE - timedelta(days=1))
    issued(tenant=sandbox)
    assert mark_overdue(now=DUE + timedelta(days=9)) == 0
    Tenant.objects.filter(pk=sandbox.pk).update(clock_frozen_at=DUE)
    assert mark_overdue(now=DUE - timedelta(days=9)) == 1


def test_where_nothing_is_owed_nothing_is_overdue():
    issued(subtotal=0, total=0)
    assert mark_overdue(now=DUE) == 0


def test_an_overdue_invoice_is_given_up_with_a_reason_once():
    invoice = issued(status="OVERDUE")
    assert mark_uncollectible(invoice=invoice, **WHY).status == "UNCOLLECTIBLE"
    mark_uncollectible(invoice=invoice, **WHY)
    assert AuditEntry.objects.get(action="INVOICE_UNCOLLECTIBLE").reason == "bankrupt"


@pytest.mark.parametrize("status", ["DRAFT", "OPEN", "PAID", "VOID"])
def test_nothing_else_becomes_uncollectible(status):
    number = None if status == "DRAFT" else "INV-1"
    invoice = issued(status=status, number=number)
    with pytest.raises(Conflict) as refusal:
        mark_uncollectible(invoice=invoice, **WHY)
    assert refusal.value.code == "INVOICE_TRANSITION"
    assert Invoice.objects.get().status == status


@pytest.mark.django_db(transaction=True)
def test_eight_sweeps_at_once_tell_of_each_once():
    for number in range(12):
        issued(number=f"INV-{number}")
    in_threads(8, lambda _: mark_overdue(now=DUE))
    assert OutboxMessage.objects.filter(fact="invoice.overdue").count() == 12
