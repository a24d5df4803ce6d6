import pytest

from aforo.tenancy.models import AuditEntry
from catalog.models import Customer, CustomerAlias
from tests.clients import operator_client
from tests.factories import CustomerAliasFactory, CustomerFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db
SECRET = "sk_live_" + "z" * 40


@pytest.fixture
def client(tenant):
    return operator_client(tenant, role="BILLING_ADMIN")


def test_a_customer_is_made(client):
    body = {
        "externalId": "cust_1",
        "name": "Acme",
        "email": "billing@acme.test",
        "plan": "pro",
        "defaultCurrency": "EUR",
    }
    answer = client.post("/api/v1/customers", body)
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["externalId"], shown["currency"], shown["defaultCurrency"]) == (
        "cust_1",
        "EUR",
        "EUR",
    )
    assert (shown["status"], shown["aliasCount"]) == ("ACTIVE", 0)
    assert shown["data"]["id"] == shown["id"] == str(Customer.objects.get().id)


def test_without_an_external_id_the_own_id_serves(client):
    shown = client.post("/api/v1/customers", {"name": "Acme"}).json()
    assert shown["externalId"] == shown["id"]


def test_an_external_id_is_taken_once(client):
    client.post("/api/v1/customers", {"externalId": "a"})
    assert client.post("/api/v1/customers", {"externalId": "a"}).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"externalId": SECRET}, "externalId"),
        ({"externalId": "alias:1"}, "externalId"),
        ({"externalId": "x" * 201}, "externalId"),
        ({"email": "nobody"}, "email"),
        ({"accountManagerEmail": "nobody"}, "accountManagerEmail"),
        ({"accountManagerEmail": f"{'x' * 250}@a.test"}, "accountManagerEmail"),
        ({"defaultCurrency": "ABC"}, "currency"),
        ({"defaultCurrency": "ZZ"}, "currency"),
        ({"country": "ZZ"}, "country"),
    ],
)
def test_a_bad_customer_is_refused_by_field(client, body, field):
    answer = client.post("/api/v1/customers", body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_customer_moves_to_no_country_that_is_none(client, tenant):
    customer = CustomerFactory(tenant=tenant, country="DE")
    answer = client.patch(f"/api/v1/customers/{customer.pk}", {"country": "ZZ"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "country")
    customer.refresh_from_db()
    assert customer.country == "DE"


def test_customers_are_found_by_external_id(client, tenant):
    CustomerFactory(tenant=tenant, external_id="acme", name="Acme Inc")
    CustomerFactory(tenant=tenant, external_id="other", name="Other")
    CustomerFactory(external_id="acme")
    for query in ("externalId=acme", "name=ACME"):
        page = client.get(f"/api/v1/customers?{query}").json()
        assert [row["externalId"] for row in page["content"]] == ["acme"]


def test_a_customer_is_edited_and_archived(client, tenant):
    subscription = SubscriptionFactory(tenant=tenant)
    path = f"/api/v1/customers/{subscription.customer_id}"
    assert client.patch(path, {"name": "New"}).json()["name"] == "New"
    assert client.delete(path).status_code == 409
    subscription.state = "CANCELLED"
    subscription.save()
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["status"] == "ARCHIVED"


def test_an_account_manager_is_named_and_taken_away(client, tenant):
    path = f"/api/v1/customers/{CustomerFactory(tenant=tenant).pk}"
    assert client.get(path).json()["accountManagerEmail"] == ""
    body = {"externalId": "cust_1", "accountManagerEmail": "eve@seller.test"}
    made = client.post("/api/v1/customers", body).json()
    assert made["accountManagerEmail"] == "eve@seller.test"
    path = f"/api/v1/customers/{made['id']}"
    refused = client.patch(path, {"accountManagerEmail": "eve"})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["accountManagerEmail"]
    for said in ("bob@seller.test", ""):
        assert client.patch(path, {"accountManagerEmail": said}).status_code == 200
        (row,) = client.get("/api/v1/customers?externalId=cust_1").json()["content"]
        assert row["accountManagerEmail"] == said
    entries = AuditEntry.objects.for_tenant(tenant).order_by("pk")
    assert [entry.changes["account_manager_email"] for entry in entries] == [
        {"before": None, "after": "eve@seller.test"},
        {"before": "eve@seller.test", "after": "bob@seller.test"},
        {"before": "bob@seller.test", "after": ""},
    ]


def test_a_secret_alias_is_answered_as_its_hash(client, tenant):
    customer = CustomerFactory(tenant=tenant)
    path = f"/api/v1/customers/{customer.id}/aliases"
    answer = client.post(path, {"value": SECRET, "kind": "API_KEY"})
    assert answer.status_code == 201
    alias = CustomerAlias.objects.get()
    assert answer.json()["label"] == f"alias:{bytes(alias.digest).hex()[:8]}"
    assert SECRET not in answer.content.decode()
    assert SECRET not in client.get(path).content.decode()


def test_aliases_are_listed_and_removed(client, tenant):
    customer = CustomerFactory(tenant=tenant)
    other = CustomerAliasFactory(customer=CustomerFactory(tenant=tenant))
    path = f"/api/v1/customers/{customer.id}/aliases"
    alias = client.post(path, {"value": "Billing App"}).json()
    assert (alias["label"], alias["kind"]) == ("Billing App", "SUBJECT")
    page = client.get(path).json()
    assert [row["id"] for row in page["content"]] == [alias["id"]]
    assert client.get(f"/api/v1/customers/{customer.id}").json()["aliasCount"] == 1

    assert client.delete(f"{path}/{other.id}").status_code == 404
    assert client.delete(f"{path}/{alias['id']}").status_code == 204
    assert CustomerAlias.objects.get() == other


def test_an_alias_of_another_customer_is_a_conflict(client, tenant):
    CustomerAliasFactory(customer=CustomerFactory(tenant=tenant), label="app")
    customer = CustomerFactory(tenant=tenant)
    answer = client.post(f"/api/v1/customers/{customer.id}/aliases", {"value": "app"})
    assert answer.status_code == 409
