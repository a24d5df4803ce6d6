"""Guards and tags that several people, or a look under way, are at in the same moment."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from time import monotonic

import pytest
from django.db import connection, transaction
from django.urls import reverse

from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.models.members import Role
from aforo.tenancy.services.actors import Actor
from catalog.models import Customer
from metering.models import Alert, CustomerTag, MarginGuard
from metering.services import guards, margins
from tests.catalog.admin.test_admin import browser_of
from tests.factories import CostEventFactory, CustomerFactory, TenantFactory
from tests.metering.conftest import NOW

pytestmark = pytest.mark.django_db(transaction=True)
ACTOR = Actor.system("test")
# Of this database alone; who waits for a row waits for a transaction, which is of no database.
_WAITING = """
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()
"""


def until_it_waits(doing):
    """Until what another thread does is over, or waits for a lock."""
    deadline = monotonic() + 10
    with connection.cursor() as cursor:
        while not doing.done() and monotonic() < deadline:
            cursor.execute(_WAITING)
            if cursor.fetchone()[0]:
                return


def apart(act, *said):
    try:
        return act(*said)
    finally:
        connection.close()  # or the pool runs dry


def test_what_a_guard_begins_to_enforce_during_a_look_is_told(seller, monkeypatch):
    monkeypatch.setattr(guards, "enqueue", lambda *_, **__: None)
    guard = MarginGuard.objects.create(
        tenant=seller.tenant, code="all", created_at=NOW, mode="ALERT_ONLY"
    )
    customer = Customer.objects.get(tenant=seller.tenant, external_id="cust_1")

    def look():
        CostEventFactory(tenant=seller.tenant, customer_id=customer.pk, amount=Decimal(5))
        margins.evaluate_tenant(tenant_id=seller.tenant.pk, now=NOW)

    def enforce():
        guards.edit_guard(guard=guard, edits={"mode": "ENFORCE"}, actor=ACTOR, now=NOW)

    look()
    settled = margins._settled
    with ThreadPoolExecutor(1) as pool:

        def edited_meanwhile(*judged):
            until_it_waits(pool.submit(apart, enforce))
            return settled(*judged)

        monkeypatch.setattr(margins, "_settled", edited_meanwhile)
        look()
        monkeypatch.setattr(margins, "_settled", settled)
    look()
    assert Alert.objects.filter(state="OPEN", kind="MARGIN_BLOCKED").count() == 1
    assert OutboxMessage.objects.filter(fact="margin.blocked").count() == 1


def test_tags_that_are_said_twice_at_once_are_kept_once(db):
    customer = CustomerFactory(tenant=TenantFactory())

    def tag():
        return guards.tag_customer(customer=customer, tags=["pilot"], actor=ACTOR, now=NOW)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert tag() == ["pilot"]
            second = pool.submit(apart, tag)
            until_it_waits(second)
        assert second.result() == ["pilot"]
    assert CustomerTag.objects.count() == AuditEntry.objects.count() == 1


def test_a_tag_that_is_added_in_the_admin_takes_no_other_away(seller):
    browser = browser_of(seller.tenant, Role.PRODUCT_MANAGER)
    customer = Customer.objects.get()
    row = {"tenant": str(seller.tenant.pk), "customer": str(customer.pk), "tag": "pilot"}
    url = reverse("admin:metering_customertag_add")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            guards.tag_customer(customer=customer, tags=["eu"], actor=ACTOR, now=NOW)
            second = pool.submit(apart, browser.post, url, row)
            until_it_waits(second)
        assert second.result().status_code == 302
    assert {tag.tag for tag in CustomerTag.objects.all()} == {"eu", "pilot"}
