"""POSTs under an `Idempotency-Key`."""

from datetime import timedelta

import pytest
from django.utils import timezone

from aforo.api.idempotency import KEPT, forget_answers
from aforo.api.models import StoredAnswer
from aforo.tenancy.models import ApiKey
from tests.clients import operator_client
from tests.factories import TenantFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db

KEYS = "/api/v1/api-keys"


def once(client, body, *, key="order-1"):
    return client.post(KEYS, body, HTTP_IDEMPOTENCY_KEY=key)


def made_keys():
    return ApiKey.objects.filter(kind="METERING").count()


def test_asking_again_gives_the_same_bytes_and_does_nothing():
    client = operator_client(TenantFactory())

    first, second = once(client, {"name": "a"}), once(client, {"name": "a"})

    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert first["Content-Type"] == second["Content-Type"]
    assert not first.has_header("Idempotent-Replayed")
    assert second["Idempotent-Replayed"] == "true"
    assert made_keys() == 1


def test_the_stored_answer_does_not_show_the_key_it_holds():
    client = operator_client(TenantFactory())

    secret = once(client, {"name": "a"}).json()["secret"]

    assert secret.encode() not in bytes(StoredAnswer.objects.get().sealed_body)


def test_another_body_under_the_same_key_is_a_conflict():
    client = operator_client(TenantFactory())
    once(client, {"name": "a"})

    answer = once(client, {"name": "b"})

    assert (answer.status_code, answer.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert made_keys() == 1


def test_two_tenants_may_use_the_same_key():
    for tenant in TenantFactory.create_batch(2):
        assert once(operator_client(tenant), {"name": "a"}).status_code == 201
    assert made_keys() == 2


def test_a_refusal_is_stored_too():
    client = operator_client(TenantFactory())

    first, second = once(client, {}), once(client, {})

    assert first.status_code == second.status_code == 422
    assert second["Idempotent-Replayed"] == "true"
    assert second["Content-Type"] == "application/problem+json"


def test_after_a_day_the_key_is_free_again():
    client = operator_client(TenantFactory())
    once(client, {"name": "a"})
    StoredAnswer.objects.update(created_at=timezone.now() - KEPT)

    assert once(client, {"name": "b"}).status_code == 201
    assert made_keys() == 2
    assert StoredAnswer.objects.count() == 1


def test_old_answers_are_forgotten():
    once(operator_client(TenantFactory()), {"name": "a"})

    assert forget_answers(now=timezone.now()) == 0
    assert forget_answers(now=timezone.now() + KEPT + timedelta(seconds=1)) == 1


def test_a_key_must_be_usable():
    client = operator_client(TenantFactory())

    assert once(client, {"name": "a"}, key="x" * 256).status_code == 400
    assert once(client, {"name": "a"}, key=" ").status_code == 400
    assert made_keys() == 0


def test_an_unexpected_error_stores_nothing(monkeypatch):
    client = operator_client(TenantFactory())
    monkeypatch.setattr("aforo.api.endpoints.api_keys.issue_key", lambda **_: 1 / 0)

    assert once(client, {"name": "a"}).status_code == 500
    monkeypatch.undo()

    assert once(client, {"name": "a"}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_of_eight_twins_one_acts_and_the_others_wait_or_repeat_its_answer():
    client = operator_client(TenantFactory())

    answers = in_threads(8, lambda _: once(client, {"name": "a"}))

    assert made_keys() == 1
    said = {answer.content for answer in answers if answer.status_code == 201}
    assert len(said) == 1
    for answer in answers:
        if answer.status_code != 201:
            assert (answer.status_code, answer.json()["code"]) == (409, "IN_FLIGHT")
            assert answer["Retry-After"] == "1"
    assert once(client, {"name": "a"}).content in said
