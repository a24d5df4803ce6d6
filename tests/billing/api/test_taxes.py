"""The table of tax rates over HTTP, and asking an engine again."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.models import Invoice, TaxRate
from tests.clients import operator_client
from tests.factories import NOW, InvoiceFactory, TaxRateFactory, TenantFactory

pytestmark = pytest.mark.django_db
RATES = "/api/v1/tax-rates"


@pytest.fixture
def tenant():
    return TenantFactory()


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


def test_a_rate_is_added_listed_changed_and_removed(client, tenant):
    body = {"name": "VAT", "country": "DE", "taxCode": "BOOKS", "percent": "7.0"}
    made = client.post(RATES, body)
    assert made.status_code == 201
    rate = made.json()
    assert (rate["percent"], rate["taxCode"], rate["validUntil"]) == ("7", "BOOKS", None)
    assert client.get(RATES, {"country": "de"}).json()["totalElements"] == 1
    assert client.get(RATES, {"country": "FR"}).json()["totalElements"] == 0
    url = f"{RATES}/{rate['id']}"
    assert client.patch(url, {"percent": "5"}).json()["percent"] == "5"
    assert client.get(url).json()["percent"] == "5"
    assert client.delete(url).status_code == 204
    assert not TaxRate.objects.for_tenant(tenant).exists()


def test_the_next_rate_is_appended_and_the_past_stays(client, tenant):
    TaxRateFactory(tenant=tenant)
    InvoiceFactory(tenant=tenant, created_at=NOW + timedelta(days=1))
    body = {"name": "VAT", "country": "DE", "percent": "21", "validFrom": "2199-01-01"}
    assert client.post(RATES, body).status_code == 201
    old, new = client.get(RATES).json()["content"]
    assert {(old["percent"], old["validUntil"]), (new["percent"], new["validUntil"])} == {
        ("19", "2199-01-01"),
        ("21", None),
    }
    (used,) = (row for row in (old, new) if row["percent"] == "19")
    answer = client.patch(f"{RATES}/{used['id']}", {"percent": "20"})
    assert (answer.status_code, answer.json()["code"]) == (409, "TAX_RATE_IN_USE")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"country": "DEU"}, "country"),
        ({"percent": "-1"}, "percent"),
        ({"percent": "1e3"}, "percent"),
        ({"percent": None}, "percent"),
        ({"validFrom": "soon"}, "validFrom"),
        ({"rate": "19"}, "rate"),
    ],
)
def test_a_bad_rate_is_refused_by_field(client, body, field):
    answer = client.post(RATES, {"name": "VAT", "country": "DE", "percent": "19"} | body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert not TaxRate.objects.exists()


def test_members_read_rates_and_change_none(tenant):
    TaxRateFactory(tenant=tenant)
    member = operator_client(tenant, role="MEMBER")
    assert member.get(RATES).status_code == 200
    assert member.post(RATES, {}).status_code == 403


def test_an_engine_is_asked_again_about_a_draft(client, tenant):
    invoice = InvoiceFactory(
        tenant=tenant, tax_status="FAILED", tax_attempts=9, tax_error="answered 500",
        tax_retry_at=NOW + timedelta(days=9),
    )  # fmt: skip
    answer = client.post(f"/api/v1/invoices/{invoice.pk}/taxes")
    assert answer.status_code == 202
    invoice.refresh_from_db()
    assert (invoice.tax_attempts, invoice.tax_retry_at) == (0, None)
    Invoice.objects.update(tax_status="SETTLED", total=Decimal(0))
    answer = client.post(f"/api/v1/invoices/{invoice.pk}/taxes")
    assert (answer.status_code, answer.json()["code"]) == (409, "TAX_SETTLED")
