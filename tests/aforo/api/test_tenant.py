"""The settings of the key's own tenant."""

import pytest

from aforo.tenancy.models import AuditEntry, Tenant
from tests.clients import operator_client
from tests.factories import TenantFactory

URL = "/api/v1/tenant"
SETTINGS = {
    "name": "Acme",
    "timeZone": "Europe/Berlin",
    "country": "DE",
    "unknownMetric": "CREATE",
    "latePolicy": "AUTO",
    "settlementDelay": "02:00:00",
    "deadLetterDays": 30,
    "deadLetterThreshold": 1000,
    "sessionSummaries": True,
    "accessFallback": "CLOSED",
}


@pytest.fixture
def tenant(db):
    return TenantFactory()


def test_settings_are_changed_and_shown(tenant):
    other = TenantFactory()
    client = operator_client(tenant)
    answer = client.patch(URL, SETTINGS)
    assert answer.status_code == 200, answer.content
    assert {name: answer.json()[name] for name in SETTINGS} == SETTINGS
    assert client.get(URL).json()["deadLetterDays"] == 30
    assert AuditEntry.objects.filter(action="TENANT_CHANGED").count() == 1
    other.refresh_from_db()
    assert other.dead_letter_days is None


def test_what_is_not_named_stays_and_null_means_never(tenant):
    client = operator_client(tenant)
    client.patch(URL, SETTINGS)
    answer = client.patch(URL, {"deadLetterDays": None})
    assert answer.json()["deadLetterDays"] is None
    assert answer.json()["deadLetterThreshold"] == 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deadLetterDays", 0),
        ("deadLetterDays", -1),
        ("deadLetterDays", 40_000),
        ("deadLetterThreshold", 0),
        ("deadLetterThreshold", 2**31),
        ("unknownMetric", "GUESS"),
        ("latePolicy", "NEVER"),
        ("timeZone", "Mars/Olympus"),
        ("settlementDelay", "-01:00:00"),
        ("name", ""),
    ],
)
def test_a_wrong_setting_is_refused_and_changes_nothing(tenant, field, value):
    answer = operator_client(tenant).patch(URL, {"country": "DE", field: value})
    assert answer.status_code == 422
    assert field in {error["field"] for error in answer.json()["errors"]}
    tenant.refresh_from_db()
    assert tenant.country == ""


@pytest.mark.parametrize("field", ["currency", "slug", "clockFrozenAt"])
def test_what_is_no_setting_is_not_changed(tenant, field):
    before = Tenant.objects.values().get(pk=tenant.pk)
    operator_client(tenant).patch(URL, {field: "EUR"})
    after = Tenant.objects.values().get(pk=tenant.pk)
    assert {**after, "catalog_version": 0} == {**before, "catalog_version": 0}


@pytest.mark.parametrize("role", ["MEMBER", "DEVELOPER", "BILLING_ADMIN", "PRODUCT_MANAGER"])
def test_only_owners_and_admins_change_settings(tenant, role):
    assert operator_client(tenant, role=role).patch(URL, SETTINGS).status_code == 403
