"""The audit log: exact, and for good."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from aforo.tenancy.models import AuditEntry
from aforo.tenancy.models.members import Role
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from tests.factories import NOW, CustomerFactory, OperatorKeyFactory, UserFactory

pytestmark = pytest.mark.django_db


def record(**fields):
    customer = CustomerFactory()
    return audit.record(
        **{
            "tenant": customer.tenant,
            "actor": Actor.system(),
            "action": "CUSTOMER_CHANGED",
            "target": customer,
            "now": NOW,
        }
        | fields
    )


def test_values_are_kept_to_the_last_digit():
    customer = CustomerFactory()
    before = {"rate": Decimal("1E-12"), "since": date(2026, 1, 31), "tags": {"b"}, "owner": None}
    after = {"rate": Decimal("1000000.10"), "since": NOW, "tags": {"b"}, "owner": customer}

    entry = record(changes=audit.differences(before, after))

    entry.refresh_from_db()
    assert entry.changes == {
        "rate": {"before": "0.000000000001", "after": "1000000.1"},
        "since": {"before": "2026-01-31", "after": NOW.isoformat()},
        "owner": {"before": None, "after": str(customer.pk)},
    }


def test_the_database_refuses_to_change_or_delete_an_entry():
    entry = record()

    for attempt in (
        lambda: AuditEntry.objects.update(reason="never mind"),
        lambda: AuditEntry.objects.all().delete(),
        lambda: AuditEntry.objects.filter(pk=entry.pk)._raw_delete("default"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()
    assert AuditEntry.objects.get().reason == ""


def test_an_entry_names_who_acted_and_from_where():
    key = OperatorKeyFactory(name="ci", role=Role.BILLING_ADMIN)
    by_key = record(actor=Actor.key(key, address="2001:db8::1", request_id="r-1"))
    user = UserFactory(username="ann")
    by_user = record(actor=Actor.user(user, role=Role.OWNER))

    assert (by_key.actor_type, by_key.actor_id, by_key.role) == (
        "KEY",
        str(key.pk),
        "BILLING_ADMIN",
    )
    assert (by_key.actor_name, by_key.address) == (f"ci ({key})", "2001:db8::1")
    assert by_key.request_id == "r-1"
    assert (by_user.actor_type, by_user.actor_name, by_user.actor_id) == (
        "USER",
        "ann",
        str(user.pk),
    )


def test_long_names_are_cut_not_refused():
    customer = CustomerFactory(name="x" * 200)

    entry = record(tenant=customer.tenant, target=customer, actor=Actor.system("y" * 300))

    assert len(entry.actor_name) == 200
