"""One shape for every error, and no error of a client is a 500."""

import json

import pytest
from django.test import Client
from rest_framework import serializers

from aforo.api.problems import expected_error
from aforo.tenancy.models import ApiKey
from tests.clients import client_with, operator_client
from tests.factories import ApiKeyFactory, OperatorKeyFactory, TenantFactory

pytestmark = pytest.mark.django_db

KEYS = "/api/v1/api-keys"


def test_a_problem_says_what_happened_to_people_and_to_programs():
    client = operator_client(TenantFactory())

    answer = client.post(KEYS, {"kind": "GOLDEN"}, HTTP_X_REQUEST_ID="mine-1")

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["X-Request-Id"] == "mine-1"
    assert answer.json() == {
        "type": "https://errors.aforo.ai/unprocessable-entity",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": 'name: This field is required.; kind: "GOLDEN" is not a valid choice.',
        "instance": "mine-1",
        "code": "UNPROCESSABLE_ENTITY",
        "errors": [
            {"field": "name", "code": "REQUIRED", "message": "This field is required."},
            {
                "field": "kind",
                "code": "INVALID_CHOICE",
                "message": '"GOLDEN" is not a valid choice.',
            },
        ],
    }


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b', "ü"])
def test_a_request_id_that_could_forge_a_log_line_is_replaced(given):
    answer = Client().get("/healthz", HTTP_X_REQUEST_ID=given)

    assert answer["X-Request-Id"] not in {"", given}
    assert len(answer["X-Request-Id"]) == 36


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b'{"name": NaN}', 400),
        (b"[" * 10_000 + b"]" * 10_000, 400),
        (rb'{"name": "a\u0000b"}', 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b"17", 422),
        (b"null", 422),
        (b'{"name": {"a": 1}}', 422),
        (b'{"name": 1e999999999}', 422),
        (b'{"name": "' + b"x" * 121 + b'"}', 422),
        (b'{"name": ["x"], "kind": {}, "role": 7, "environment": null}', 422),
        (b" " * (10 * 1024 * 1024 + 1), 413),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"HTTP_IDEMPOTENCY_KEY": "k"}])
def test_a_bad_body_gets_a_clear_answer(body, status, headers):
    client = operator_client(TenantFactory())

    answer = client.post(KEYS, data=body, content_type="application/json", **headers)

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert ApiKey.objects.count() == 1


def test_other_things_a_client_can_get_wrong():
    client = operator_client(TenantFactory())

    answers = {
        405: client.delete(KEYS),
        404: client.get("/api/v1/nothing-here"),
        415: client.post(KEYS, data="name=x", content_type="application/x-www-form-urlencoded"),
        406: client.get(KEYS, HTTP_ACCEPT="text/csv"),
        400: client.get(KEYS, HTTP_HOST="evil.example"),
    }

    for status, answer in answers.items():
        assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answers[405]["Allow"] == "GET, POST, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "query", ["page=-1", "page=x", "page=1.5", "size=0", "page=9999999999", "page=%D9%A1"]
)
def test_a_page_is_a_number(query):
    answer = operator_client(TenantFactory()).get(f"{KEYS}?{query}")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] in {"page", "size"}


def test_a_large_size_gives_a_full_page():
    assert operator_client(TenantFactory()).get(f"{KEYS}?size=5000").json()["meta"]["size"] == 200


def test_who_sends_no_key_or_a_wrong_one_is_asked_for_one():
    metering = ApiKeyFactory()
    for client in (
        Client(),
        client_with(metering.secret),
        client_with("afo_" + "x" * 40),
        client_with("afo_ü\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
        client_with("afo_" + "x" * 100_000),
    ):
        answer = client.get(KEYS)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer"
        assert answer.json()["code"] == "UNAUTHORIZED"


def test_x_tenant_id_may_be_sent_and_must_agree():
    tenant, other = TenantFactory(), TenantFactory()
    secret = OperatorKeyFactory(tenant=tenant).secret

    def status(name):
        return client_with(secret, HTTP_X_TENANT_ID=name).get(KEYS).status_code

    assert [status(tenant.slug), status(str(tenant.pk)), status(str(tenant.pk).upper())] == [
        200
    ] * 3
    assert [status(other.slug), status(str(other.pk)), status("")] == [403] * 3


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("OWNER", 201),
        ("ADMIN", 201),
        ("DEVELOPER", 201),
        ("BILLING_ADMIN", 403),
        ("PRODUCT_MANAGER", 403),
        ("MEMBER", 403),
    ],
)
def test_everybody_reads_and_only_some_roles_write(role, status):
    client = operator_client(TenantFactory(), role=role)

    assert client.get(KEYS).status_code == 200
    assert client.post(KEYS, {"name": "x"}).status_code == status
    assert ApiKey.objects.filter(name="x").count() == (status == 201)


def test_what_nobody_expected_is_a_500_that_tells_nothing(monkeypatch):
    client = operator_client(TenantFactory())
    monkeypatch.setattr("aforo.api.endpoints.api_keys.issue_key", lambda **_: {}["password"])

    answer = client.post(KEYS, {"name": "x"})

    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "password" not in answer.content.decode()


def test_errors_deep_inside_are_named_by_their_path():
    detail = {
        "prices": [{}, {"terms": ["wrong"]}],
        "non_field_errors": ["both"],
        "tags": ["x", "y"],
    }

    error = expected_error(serializers.ValidationError(detail))

    assert [(one.field, one.message) for one in error.errors] == [
        ("prices[1].terms", "wrong"),
        ("", "both"),
        ("tags", "x"),
        ("tags", "y"),
    ]
    assert error.detail == "prices[1].terms: wrong; both; tags: x; and 1 more"


def test_every_problem_is_json():
    answer = operator_client(TenantFactory()).post(KEYS, {})

    assert json.loads(answer.content)["status"] == answer.status_code
