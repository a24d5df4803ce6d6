import pytest

from aforo.tenancy.models import AuditEntry
from catalog.models import Product
from tests.clients import operator_client
from tests.factories import ProductFactory, TenantFactory

pytestmark = pytest.mark.django_db
API = {"name": "Search API", "metadata": {"base_path": "/v1", "api_version": "1.0"}}


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


def test_a_product_is_made_and_answered_in_every_shape(client, tenant):
    body = API | {"type": "API", "status": "PUBLISHED", "description": "finds"}
    answer = client.post("/api/v1/products", body)
    assert answer.status_code == 201
    shown = answer.json()
    product = Product.objects.get()
    assert product.tenant == tenant
    assert shown["data"]["id"] == shown["id"] == str(product.id)
    assert (shown["success"], shown["type"], shown["productType"]) == (True, "API", "API")
    assert (shown["status"], shown["lifecycle"]) == ("PUBLISHED", "GA")
    assert shown["metadata"] == API["metadata"]
    assert client.get(f"/api/v1/products/{product.id}").json()["name"] == "Search API"
    entry = AuditEntry.objects.get(action="PRODUCT_CREATED")
    assert entry.actor_type == "KEY"


def test_metadata_keeps_its_numbers(client):
    body = API | {"metadata": API["metadata"] | {"weight": 1.5, "deep": {"list": [1, None]}}}
    answer = client.post("/api/v1/products", body).json()
    assert answer["metadata"]["weight"] == 1.5
    assert Product.objects.get().metadata["deep"] == {"list": [1, None]}


def test_an_api_without_a_place_is_refused_by_field(client):
    answer = client.post("/api/v1/products", {"name": "Search", "type": "API"})
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"] == [
        {
            "field": "metadata.base_path",
            "code": "REQUIRED",
            "message": "is required for type API",
        }
    ]


def test_a_name_is_taken_once(client):
    client.post("/api/v1/products", API)
    answer = client.post("/api/v1/products", API)
    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")
    assert Product.objects.count() == 1


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Agent", "Search", "Searcher"]),
        ("?name=sEaRch", ["Search", "Searcher"]),
        ("?productType=AI_AGENT", ["Agent"]),
        ("?status=ARCHIVED", ["Searcher"]),
        ("?size=1&page=1", ["Search"]),
    ],
)
def test_lists_are_filtered(client, tenant, query, names):
    ProductFactory(tenant=tenant, name="Search")
    ProductFactory(tenant=tenant, name="Searcher", status="ARCHIVED")
    ProductFactory(tenant=tenant, name="Agent", type="AI_AGENT")
    ProductFactory(name="Search of another")
    page = client.get(f"/api/v1/products{query}").json()
    assert [row["name"] for row in page["content"]] == names
    assert page["data"]["content"] == page["content"]


def test_a_wrong_filter_is_refused(client):
    assert client.get("/api/v1/products?productType=TOASTER").status_code == 422
    assert client.get("/api/v1/products?name=%00").status_code == 422


def test_a_product_is_edited_and_archived(client, tenant):
    product = ProductFactory(tenant=tenant, type="AI_AGENT")
    path = f"/api/v1/products/{product.id}"
    assert client.patch(path, {"lifecycle": "DEPRECATED"}).json()["lifecycle"] == "DEPRECATED"
    assert client.patch(path, {"lifecycle": "GA"}).status_code == 409
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["status"] == "ARCHIVED"


@pytest.mark.parametrize(("role", "status"), [("BILLING_ADMIN", 403), ("PRODUCT_MANAGER", 201)])
def test_the_catalog_is_written_by_its_roles(role, status):
    client = operator_client(TenantFactory(), role=role)
    assert client.post("/api/v1/products", API).status_code == status
    assert client.get("/api/v1/products").status_code == 200


def test_a_post_under_one_key_happens_once(client):
    headers = {"HTTP_IDEMPOTENCY_KEY": "seed-1"}
    first = client.post("/api/v1/products", API, **headers)
    again = client.post("/api/v1/products", API, **headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert Product.objects.count() == 1
