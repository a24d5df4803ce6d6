"""Unit health over HTTP, and the pages of monitors in the admin."""

import pytest
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from metering.models import MonitorSettings, UnitHealth
from metering.monitors.health import take_health
from metering.monitors.settings import settings_of
from tests.clients import operator_client
from tests.factories import MemberFactory, TenantFactory, UserFactory
from tests.metering.conftest import NOW
from tests.metering.events import event


@pytest.fixture
def taken(seller):
    seller.count(event(1, metricName="tokens", quantity=4000))
    take_health(tenant=seller.tenant, now=NOW, at=NOW)
    return seller


@pytest.fixture
def finance(taken, client):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=taken.tenant, user=user, role="BILLING_ADMIN")
    client.force_login(user)
    return client


def test_tiers_are_told_with_their_shares(taken):
    client = operator_client(taken.tenant, role="MEMBER")
    page = client.get("/api/v1/unit-health").json()
    assert [row["unit"] for row in page["content"]] == ["calls", "tokens"]
    tokens = page["content"][1]
    assert (tokens["quantity"], tokens["status"], tokens["version"]) == ("4000", "NO_DATA", 1)
    assert tokens["tiers"] == [
        {
            "fromQuantity": "0",
            "toQuantity": "1000",
            "subscriptions": 0,
            "customers": 0,
            "quantity": "1000",
            "percentOfCustomers": "0",
            "percentOfUnits": "25",
        },
        {
            "fromQuantity": "1000",
            "toQuantity": None,
            "subscriptions": 1,
            "customers": 1,
            "quantity": "3000",
            "percentOfCustomers": "100",
            "percentOfUnits": "75",
        },
    ]
    calls = client.get("/api/v1/unit-health", {"unitId": page["content"][0]["unitId"]}).json()
    assert [tier["percentOfUnits"] for tier in calls["content"][0]["tiers"]] == [None]
    assert operator_client(TenantFactory()).get("/api/v1/unit-health").json()["content"] == []


def test_the_admin_shows_a_histogram(taken, finance):
    listed = finance.get(reverse("admin:metering_unithealth_changelist"))
    assert (listed.status_code, b"tokens" in listed.content) == (200, True)
    health = UnitHealth.objects.get(unit__name="tokens")
    page = finance.get(reverse("admin:metering_unithealth_change", args=[health.pk]))
    assert "<canvas" in page.content.decode()
    assert "above 1000: 100 % of customers, 75 % of units" in page.content.decode()


def test_monitors_are_set_in_the_admin_and_audited(taken, finance):
    page = reverse("admin:metering_monitorsettings_add")
    assert finance.get(page).status_code == 200
    fields = {
        "tenant": taken.tenant.pk,
        "sigma": "3",
        "baseline_days": 14,
        "minimum_samples": 24,
        "flat_percent": 5,
        "drop_percent": 40,
        "drop_minimum_events": 10,
        "pacing_thresholds": "100, 50",
        "pacing_from_percent": 5,
    }
    wrong = finance.post(page, fields | {"sigma": "0.5"})
    assert (wrong.status_code, MonitorSettings.objects.count()) == (200, 0)
    assert settings_of(taken.tenant).pacing_thresholds == [80, 100, 120]
    assert finance.post(page, fields).status_code == 302
    kept = settings_of(taken.tenant)
    assert (kept.sigma, kept.drop_percent, kept.pacing_thresholds) == (3, 40, [50, 100])
    entry = AuditEntry.objects.get(action="MONITORS_SET")
    assert entry.changes["pacing_thresholds"]["after"] == [50, 100]
