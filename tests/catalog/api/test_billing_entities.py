"""Billing entities over HTTP: made, changed, and the secret of their tax engine."""

from base64 import b64encode

import pytest

from catalog.models import BillingEntity
from catalog.services.billing_entities import tax_secret_of
from tests.clients import operator_client
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db
ENTITIES = "/api/v1/billing-entities"
GERMANY = {"code": "DE", "displayName": "Acme GmbH", "currency": "EUR", "country": "DE"}


@pytest.fixture
def client():
    return operator_client(TenantFactory())


def test_an_entity_is_made_listed_and_changed(client):
    made = client.post(ENTITIES, GERMANY | {"taxEngine": "TABLE", "graceDays": 3})
    assert made.status_code == 201
    entity = made.json()
    assert (entity["legalName"], entity["taxEngine"], entity["taxInclusive"]) == (
        "Acme GmbH",
        "TABLE",
        False,
    )
    assert (entity["graceDays"], entity["hasTaxSecret"]) == (3, False)
    url = f"{ENTITIES}/{entity['id']}"
    edits = {"taxInclusive": True, "accentColor": "#1a2b3c", "region": "BW"}
    assert client.patch(url, edits).json().items() >= edits.items()
    assert client.get(ENTITIES, {"code": "DE"}).json()["totalElements"] == 1
    assert client.get(url).json()["region"] == "BW"


@pytest.mark.parametrize(
    ("edits", "field"),
    [
        ({"taxEngine": "HTTP"}, "taxUrl"),
        ({"taxEngine": "HTTP", "taxUrl": "http://tax.example/"}, "taxUrl"),
        ({"taxUrl": "https://127.0.0.1/"}, "taxUrl"),
        ({"taxEngine": "TABLE", "country": ""}, "country"),
        ({"country": "ZZ"}, "country"),
        ({"taxEngine": "GUESS"}, "taxEngine"),
        ({"accentColor": "red"}, "accentColor"),
        ({"timeZone": "Mars"}, "timeZone"),
    ],
)
def test_what_cannot_be_is_refused_by_field_and_changes_nothing(client, edits, field):
    entity = client.post(ENTITIES, GERMANY).json()
    before = BillingEntity.objects.values().get()
    answer = client.patch(f"{ENTITIES}/{entity['id']}", edits)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert BillingEntity.objects.values().get() == before


def test_a_logo_is_set_and_taken_away(client):
    entity = client.post(ENTITIES, GERMANY).json()
    url = f"{ENTITIES}/{entity['id']}/logo"
    picture = b"\x89PNG\r\n\x1a\n"
    assert client.put(url, {"picture": b64encode(picture).decode()}).json()["hasLogo"] is True
    assert bytes(BillingEntity.objects.get().logo) == picture
    for wrong in (b64encode(b"GIF89a").decode(), "***", b64encode(bytes(200_001)).decode()):
        assert client.put(url, {"picture": wrong}).status_code == 422
    assert bytes(BillingEntity.objects.get().logo) == picture
    assert client.put(url, {"picture": ""}).json()["hasLogo"] is False


def test_a_tax_secret_is_shown_once_and_stored_sealed(client):
    entity = client.post(ENTITIES, GERMANY).json()
    url = f"{ENTITIES}/{entity['id']}"
    made = client.post(f"{url}/tax-secret")
    assert made.status_code == 201
    secret = made.json()["secret"]
    row = BillingEntity.objects.get()
    assert tax_secret_of(row) == secret.encode()
    assert secret.encode() not in bytes(row.tax_secret)
    answer = client.get(url)
    assert answer.json()["hasTaxSecret"] is True
    assert secret not in answer.content.decode()
    assert client.post(f"{url}/tax-secret").json()["secret"] != secret
