"""Sessions in the admin: seen by those who may, killed by those who may more."""

import pytest
from django.urls import reverse

from metering.models import Session
from tests.factories import MemberFactory, SandboxFactory, SessionFactory, UserFactory
from tests.metering.conftest import NOW

LIST = "admin:metering_session_changelist"


@pytest.fixture
def tenant(db):
    return SandboxFactory(clock_frozen_at=NOW)


def log_in(client, tenant, role):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role=role)
    client.force_login(user)


def kill(client, *sessions):
    chosen = [str(session.pk) for session in sessions]
    return client.post(reverse(LIST), {"action": "kill", "_selected_action": chosen})


def test_sessions_are_listed_and_shown(client, tenant):
    log_in(client, tenant, "MEMBER")
    session = SessionFactory(tenant=tenant, session_id="run-7", tokens=1500, cost="0.30", calls=3)
    SessionFactory(session_id="theirs")

    text = client.get(reverse(LIST)).content.decode()
    assert "run-7" in text
    assert "theirs" not in text
    assert "ACTIVE" in text
    page = client.get(reverse("admin:metering_session_change", args=[session.pk]))
    assert "1500" in page.content.decode()


def test_an_operator_kills_sessions_of_their_own_tenant(client, tenant):
    log_in(client, tenant, "ADMIN")
    own, theirs = SessionFactory(tenant=tenant), SessionFactory()
    kill(client, own, theirs)

    killed = Session.objects.filter(killed_at__isnull=False)  # any tenant: both are looked at
    assert list(killed) == [own]
    assert killed.get().kill_reason == "by hand"


def test_who_only_reads_kills_nothing(client, tenant):
    log_in(client, tenant, "MEMBER")
    kill(client, SessionFactory(tenant=tenant))
    assert not Session.objects.filter(killed_at__isnull=False).exists()  # any tenant: likewise
