"""Late usage in the admin: the queue of held events, and the page that corrects an event."""

import pytest
from django.test import Client
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from metering.models import Correction, HeldEvent, RunningTotal, UsageEvent
from tests.factories import MemberFactory, UserFactory
from tests.metering.events import billed, event, rows

pytestmark = pytest.mark.django_db
QUEUE = "/admin/metering/heldevent/"


@pytest.fixture
def held(seller):
    seller.count(event("first"))
    billed()
    seller.count(*(event(number, quantity=2) for number in range(3)))
    return list(HeldEvent.objects.order_by("id"))


def member(seller, role):
    user = UserFactory(username=role.lower(), is_staff=True)
    MemberFactory(tenant=seller.tenant, user=user, role=role)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def finance(seller):
    return member(seller, "BILLING_ADMIN")


def choose(client, act, *chosen):
    ids = [str(one.pk) for one in chosen]
    return client.post(QUEUE, {"action": act, "_selected_action": ids})


@pytest.mark.parametrize(("act", "status"), [("accept", "ACCEPTED"), ("waive", "WAIVED")])
def test_what_is_ticked_is_decided_once_a_reason_is_given(seller, held, finance, act, status):
    asked = choose(finance, act, *held[:2])
    assert asked.status_code == 200
    assert b"2 waiting events, quantity 4 in all" in asked.content
    page = reverse("admin:metering_heldevent_decide", args=[act])
    ids = asked.context["ids"]
    without = finance.post(page, {"ids": ids, "reason": ""})
    assert (without.status_code, b"This field is required" in without.content) == (200, True)
    assert finance.post(page, {"ids": ids, "reason": "agreed"}).status_code == 302
    decided = HeldEvent.objects.filter(status=status)
    assert set(decided.values_list("decided_by", "reason")) == {("billing_admin", "agreed")}
    assert decided.count() == AuditEntry.objects.filter(action__startswith="HELD").count() == 2
    assert HeldEvent.objects.filter(status="WAITING").count() == 1


def test_the_queue_shows_what_waits(held, finance):
    listed = finance.get(QUEUE, {"status__exact": "WAITING"})
    assert listed.status_code == 200
    assert b"cust_1" in listed.content
    assert finance.get(f"{QUEUE}{held[0].pk}/change/").status_code == 200


def test_a_member_may_look_but_not_decide(seller, held):
    client = member(seller, "MEMBER")
    assert client.get(QUEUE).status_code == 200
    choose(client, "accept", held[0])
    page = reverse("admin:metering_heldevent_decide", args=["accept"])
    answer = client.post(page, {"ids": str(held[0].pk), "reason": "x"})
    assert answer.status_code == 403
    assert HeldEvent.objects.filter(status="WAITING").count() == 3


def correction_page(row, act):
    return reverse("admin:metering_correction_of_event", args=[row.pk, act])


def test_an_event_is_voided_from_its_page(seller, finance):
    seller.count(event(1, metricName="tokens", quantity=100))
    (row,) = rows()
    page = correction_page(row, "void")
    shown = finance.get(reverse("admin:metering_usageevent_change", args=[row.pk]))
    assert page.encode() in shown.content
    assert b"100 of tokens" in finance.get(page).content
    assert finance.post(page, {"reason": ""}).status_code == 200
    assert finance.post(page, {"reason": "sent twice"}).status_code == 302
    assert RunningTotal.objects.get().quantity == 0
    again = finance.post(page, {"reason": "sent twice"})
    assert b"was taken back before by billing_admin" in again.content
    assert Correction.objects.count() == 1
    listed = finance.get("/admin/metering/correction/")
    assert b"sent twice" in listed.content
    back = UsageEvent.objects.get(source="VOID")
    assert (
        b"correction/event"
        not in finance.get(reverse("admin:metering_usageevent_change", args=[back.pk])).content
    )


def test_only_what_is_changed_is_amended(seller, finance):
    sent = {"model": "x", "price": 1.50}
    seller.count(event(1, metricName="tokens", quantity=100, metadata=sent))
    (row,) = rows()
    page = correction_page(row, "amend")
    form = finance.get(page).context["form"]
    given = {name: form[name].value() for name in ("quantity", "occurred_at", "metadata")}
    assert given["metadata"] == row.metadata
    unchanged = finance.post(page, given | {"reason": "none"})
    assert b"an amendment changes at least one field" in unchanged.content
    broken = finance.post(page, given | {"reason": "none", "metadata": "[1]"})
    assert b"This is no JSON object." in broken.content
    assert finance.post(page, given | {"reason": "measured", "quantity": "80.5"}).status_code == 302
    new = UsageEvent.objects.get(source="AMEND")
    assert (str(new.quantity.normalize()), new.metadata) == ("80.5", row.metadata)
    assert new.occurred_at == row.occurred_at


def test_nobody_corrects_who_does_not_keep_the_books(seller):
    seller.count(event(1))
    (row,) = rows()
    for role, status in (("DEVELOPER", 403), ("MEMBER", 403)):
        client = member(seller, role)
        for act in ("void", "amend"):
            page = correction_page(row, act)
            assert client.post(page, {"reason": "x"}).status_code == status
    stranger = UserFactory(username="stranger", is_staff=True)
    client = Client()
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(correction_page(row, "void")).status_code == 404
    assert not Correction.objects.exists()
