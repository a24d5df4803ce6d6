"""Dead letters over HTTP: who may see, mend, replay and discard them."""

from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from aforo.tenancy.models import AuditEntry
from catalog.models import BillableUnit
from metering.models import DeadLetter, LetterDecision
from metering.services import letter_decisions
from tests.clients import operator_client
from tests.factories import BillableUnitFactory, DeadLetterFactory, TenantFactory
from tests.metering.conftest import NOW
from tests.metering.events import event, outcomes
from tests.metering.letters import assert_balanced, define

URL = "/api/v1/dead-letters"


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def operator(tenant):
    return operator_client(tenant)


def content(answer):
    assert answer.status_code == 200, answer.content
    return answer.json()["content"]


def test_letters_are_listed_newest_first_with_what_mends_them(operator, tenant):
    DeadLetterFactory()
    first, second = DeadLetterFactory.create_batch(2, tenant=tenant)
    listed = content(operator.get(URL))
    assert [letter["id"] for letter in listed] == [str(second.pk), str(first.pk)]
    assert listed[0]["mend"] == "create the unit, price it if it is to be billed, then replay"
    assert (listed[0]["customer"], listed[0]["metric"]) == ("cust_1", "gpu")
    assert "event" not in listed[0]


def test_pages_follow_a_cursor_that_new_letters_do_not_shift(operator, tenant):
    letters = DeadLetterFactory.create_batch(5, tenant=tenant)
    seen, cursor = [], ""
    while cursor is not None:
        page = operator.get(URL, {"size": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [letter["id"] for letter in page["content"]]
        cursor = page["nextCursor"]
        DeadLetterFactory(tenant=tenant)
    assert seen == [str(letter.pk) for letter in reversed(letters)]


@pytest.mark.parametrize("cursor", ["x", "MTox", "é", "MTA6MTA6MTA6MTA"])
def test_a_cursor_of_nobodys_is_refused(operator, cursor):
    assert operator.get(URL, {"cursor": cursor}).status_code == 400


def test_a_page_is_read_from_an_index(operator, tenant, django_assert_max_num_queries):
    DeadLetterFactory.create_batch(30, tenant=tenant)
    with django_assert_max_num_queries(4):  # the key, its use, the page
        operator.get(URL, {"size": 20})


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"code": "UNKNOWN_CUSTOMER"}, ["b"]),
        ({"metric": "gpu"}, ["d", "c", "a"]),
        ({"customer": "else"}, ["b"]),
        ({"status": "REPLAYED"}, ["d"]),
        ({"source": "FILE"}, ["c"]),
        ({"receivedFrom": NOW.isoformat()}, ["d", "b", "a"]),
        ({"receivedUntil": NOW.isoformat()}, ["c"]),
        ({"metric": "gpu", "status": "OPEN", "source": "API"}, ["a"]),
    ],
)
def test_letters_are_filtered(operator, tenant, query, found):
    DeadLetterFactory(tenant=tenant, detail="a")
    DeadLetterFactory(
        tenant=tenant, detail="b", code="UNKNOWN_CUSTOMER", metric="calls", customer="else"
    )
    DeadLetterFactory(
        tenant=tenant, detail="c", source="FILE", received_at=NOW - timedelta(hours=1)
    )
    DeadLetterFactory(tenant=tenant, detail="d", status="REPLAYED")
    assert [letter["detail"] for letter in content(operator.get(URL, query))] == found


def test_an_unknown_filter_value_is_refused(operator):
    assert operator.get(URL, {"status": "LOST"}).status_code == 422


def test_one_letter_is_shown_whole(operator, tenant):
    letter = DeadLetterFactory(tenant=tenant, edited=b'{"quantity":1.50}')
    shown = operator.get(f"{URL}/{letter.pk}").json()
    assert shown["event"] == bytes(letter.event).decode()
    assert shown["edited"] == '{"quantity":1.50}'
    assert shown["data"]["detail"] == letter.detail


def test_bytes_that_are_no_text_are_shown_all_the_same(operator, tenant):
    letter = DeadLetterFactory(tenant=tenant, code="UNREADABLE_BATCH", event=b"\x04\xff")
    assert operator.get(f"{URL}/{letter.pk}").json()["event"] == "\x04�"


def test_the_summary_counts_letters_and_events_by_code_and_metric(operator, tenant):
    DeadLetterFactory(occurrences=99)
    DeadLetterFactory.create_batch(2, tenant=tenant, occurrences=5)
    DeadLetterFactory(tenant=tenant, code="UNKNOWN_CUSTOMER", metric="calls", occurrences=3)
    DeadLetterFactory(tenant=tenant, status="DISCARDED")
    summary = operator.get(f"{URL}/summary").json()
    assert (summary["letters"], summary["events"]) == (3, 13)
    groups = [
        (group["code"], group["metric"], group["letters"], group["events"])
        for group in summary["groups"]
    ]
    assert groups == [("UNKNOWN_METRIC", "gpu", 2, 10), ("UNKNOWN_CUSTOMER", "calls", 1, 3)]
    assert summary["groups"][1]["mend"] == "create the customer or the alias, then replay"


def test_an_edit_keeps_every_digit_and_the_original(operator, tenant):
    letter = DeadLetterFactory(tenant=tenant)
    exact = '{"customerId":"c","metricName":"m","quantity":0.100000000001,"extra":1.50}'
    for body in (exact, msgspec.json.decode(exact) | {"quantity": "0.100000000001"}):
        answer = operator.patch(f"{URL}/{letter.pk}", {"event": body, "reason": "mended"})
        assert answer.status_code == 200, answer.content
        assert "0.100000000001" in answer.json()["edited"]
    assert answer.json()["event"] == bytes(letter.event).decode()
    assert AuditEntry.objects.filter(action="DEAD_LETTER_EDITED", reason="mended").count() == 2


@pytest.mark.parametrize(
    ("quantity", "status"), [(10**23 + 1, 200), (-(10**30), 422), (10**99, 422), (2**64, 200)]
)
def test_an_edit_may_hold_numbers_of_any_size(operator, tenant, quantity, status):
    letter = DeadLetterFactory(tenant=tenant)
    answer = operator.patch(f"{URL}/{letter.pk}", {"event": event(quantity=quantity, big=2**70)})
    assert answer.status_code == status, answer.content
    assert status != 200 or str(quantity) in answer.json()["edited"]


def test_an_edit_that_the_door_would_refuse_names_the_field_and_the_code(operator, tenant):
    letter = DeadLetterFactory(tenant=tenant)
    answer = operator.patch(f"{URL}/{letter.pk}", {"event": event(quantity=-1)})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "INVALID_QUANTITY"
    assert problem["errors"] == [
        {
            "field": "event",
            "code": "INVALID_QUANTITY",
            "message": "quantity must not be negative",
        }
    ]


@pytest.mark.parametrize("body", [1, [], "x", None, True, [[[]]]])
def test_an_edit_that_is_no_event_is_refused(operator, tenant, body):
    letter = DeadLetterFactory(tenant=tenant)
    assert operator.patch(f"{URL}/{letter.pk}", {"event": body}).status_code == 422
    assert operator.patch(f"{URL}/{letter.pk}", {}).status_code == 422


def test_a_letter_is_replayed_once_and_says_in_which_batch(seller):
    seller.count(event(metricName="gpu"))
    define(seller.tenant, "gpu")
    operator = operator_client(seller.tenant)
    letter = DeadLetter.objects.get()
    first = operator.post(f"{URL}/{letter.pk}/replay")
    again = operator.post(f"{URL}/{letter.pk}/replay", {"reason": "once more"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["replayBatchId"] == again.json()["replayBatchId"]
    assert first.json()["status"] == "REPLAYED"
    seller.drain()
    fate = operator.get(f"/v1/ingest/batches/{first.json()['replayBatchId']}").json()
    assert (fate["source"], fate["events"], fate["unbilled"]) == ("REPLAY", 1, 1)
    assert_balanced(seller.tenant, received=1)


def test_a_discard_says_why_and_a_decided_letter_stays_so(operator, tenant):
    letter = DeadLetterFactory(tenant=tenant)
    url = f"{URL}/{letter.pk}"
    assert operator.post(f"{url}/discard", {}).status_code == 422
    assert operator.post(f"{url}/discard", {"reason": " "}).status_code == 422
    discarded = operator.post(f"{url}/discard", {"reason": "a load test"})
    assert discarded.status_code == 200
    assert (discarded.json()["status"], discarded.json()["reason"]) == ("DISCARDED", "a load test")
    refused = operator.post(f"{url}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "LETTER_IS_DECIDED")


def test_what_holds_no_event_says_so(operator, tenant):
    letter = DeadLetterFactory(tenant=tenant, code="UNREADABLE_BATCH", event=b"\x04")
    refused = operator.post(f"{URL}/{letter.pk}/replay")
    assert (refused.status_code, refused.json()["code"]) == (422, "NOT_REPLAYABLE")
    refused = operator.post(f"{URL}/replay", {"code": "UNREADABLE_BATCH"})
    assert (refused.status_code, refused.json()["code"]) == (422, "NOT_REPLAYABLE")


def test_thousands_are_replayed_by_filter_and_the_decision_can_be_followed(seller, monkeypatch):
    monkeypatch.setattr(letter_decisions, "LETTERS_AT_A_TIME", 3)
    asked = []
    monkeypatch.setattr(letter_decisions, "enqueue", asked.append)
    seller.count(*(event(number, metricName="gpu") for number in range(10)))
    define(seller.tenant, "gpu")
    operator = operator_client(seller.tenant)
    answer = operator.post(f"{URL}/replay", {"code": "UNKNOWN_METRIC", "metric": "gpu"})
    assert answer.status_code == 202
    begun = answer.json()
    assert (begun["letters"], begun["finishedAt"]) == (6, None)
    assert asked == ["metering.carry_out_letter_decisions"]
    letter_decisions.carry_out_all(now=NOW)
    done = operator.get(f"{URL}/decisions/{begun['id']}").json()
    assert (done["letters"], done["events"], done["finishedAt"]) == (10, 10, "2026-03-15T12:00:00Z")
    assert content(operator.get(f"{URL}/decisions"))[0]["id"] == begun["id"]
    seller.drain()
    assert outcomes() == {"dead": 10, "unbilled": 10}
    assert_balanced(seller.tenant, received=10)


def test_letters_are_discarded_by_id(operator, tenant):
    letters = DeadLetterFactory.create_batch(3, tenant=tenant)
    theirs = DeadLetterFactory()
    ids = [str(letter.pk) for letter in (*letters[:2], theirs)]
    answer = operator.post(f"{URL}/discard", {"ids": [*ids, str(uuid4())], "reason": "a test"})
    assert (answer.status_code, answer.json()["letters"]) == (202, 2)
    assert DeadLetter.objects.filter(status="OPEN").count() == 2


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("replay", {}),
        ("replay", {"reason": "all of them"}),
        ("discard", {"reason": "all of them"}),
        ("discard", {"code": "UNKNOWN_METRIC"}),
        ("replay", {"ids": ["x"]}),
        ("replay", {"code": "UNKNOWN_METRIC", "receivedFrom": "yesterday"}),
    ],
)
def test_a_decision_that_names_no_letters_is_refused(operator, tenant, verb, body):
    DeadLetterFactory(tenant=tenant)
    assert operator.post(f"{URL}/{verb}", body).status_code == 422
    assert not LetterDecision.objects.exists()


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_misspelt_criterion_chooses_no_letters(operator, tenant, verb):
    letter = DeadLetterFactory(tenant=tenant)
    body = {"code": letter.code, "customerId": "cust_9", "reason": "tidying up"}
    refused = operator.post(f"{URL}/{verb}", body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "customerId")
    letter.refresh_from_db()
    assert letter.status == "OPEN"


def test_a_unit_is_created_and_what_was_refused_for_it_counts(seller):
    seller.count(*(event(number, metricName="gpu") for number in range(3)))
    operator = operator_client(seller.tenant, role="PRODUCT_MANAGER")
    answer = operator.post(
        f"{URL}/create-unit", {"metric": "gpu", "aggregation": "SUM", "unitLabel": "second"}
    )
    assert answer.status_code == 202, answer.content
    unit = BillableUnit.objects.get(pk=answer.json()["unitId"])
    assert (unit.name, unit.aggregation, unit.metric) == ("gpu", "SUM", "gpu")
    assert answer.json()["letters"] == 3
    seller.drain()
    assert outcomes() == {"dead": 3, "unbilled": 3}
    assert_balanced(seller.tenant, received=3)
    again = operator.post(f"{URL}/create-unit", {"metric": "gpu"})
    assert again.status_code == 409
    assert LetterDecision.objects.count() == 1


def test_a_unit_of_another_name_counts_the_metric_as_its_source(operator, tenant):
    answer = operator.post(f"{URL}/create-unit", {"metric": "gpu", "name": "GPU seconds"})
    unit = BillableUnit.objects.get(pk=answer.json()["unitId"])
    assert (unit.name, unit.source_metric) == ("GPU seconds", "gpu")


def test_a_unit_that_is_refused_replays_nothing(operator, tenant):
    DeadLetterFactory(tenant=tenant)
    BillableUnitFactory(tenant=tenant, name="taken")
    for body in ({"metric": "gpu", "aggregation": "UNIQUE"}, {"metric": "taken"}):
        assert operator.post(f"{URL}/create-unit", body).status_code in {409, 422}
    assert not LetterDecision.objects.exists()
    assert DeadLetter.objects.get().status == "OPEN"


@pytest.mark.parametrize(
    ("role", "may_decide", "may_create"),
    [
        ("OWNER", True, True),
        ("ADMIN", True, True),
        ("BILLING_ADMIN", True, False),
        ("DEVELOPER", True, False),
        ("PRODUCT_MANAGER", False, True),
        ("MEMBER", False, False),
    ],
)
def test_roles_say_who_may_decide(tenant, role, may_decide, may_create):
    client = operator_client(tenant, role=role)
    one = f"{URL}/{DeadLetterFactory(tenant=tenant).pk}"
    assert client.get(one).status_code == client.get(f"{URL}/summary").status_code == 200
    decided = [
        client.patch(one, {"event": event()}),
        client.post(f"{one}/replay"),
        client.post(f"{one}/discard", {"reason": "x"}),
        client.post(f"{URL}/replay", {"code": "NONE"}),
        client.post(f"{URL}/discard", {"code": "NONE", "reason": "x"}),
    ]
    assert {answer.status_code != 403 for answer in decided} == {may_decide}
    created = client.post(f"{URL}/create-unit", {"metric": "gpu"})
    assert (created.status_code != 403) == may_create


def test_an_idempotency_key_decides_once(operator, tenant):
    DeadLetterFactory(tenant=tenant)
    for _ in range(2):
        answer = operator.post(
            f"{URL}/replay", {"metric": "gpu"}, headers={"Idempotency-Key": "decide-1"}
        )
        assert (answer.status_code, answer.json()["letters"]) == (202, 1)
    assert LetterDecision.objects.count() == 1
