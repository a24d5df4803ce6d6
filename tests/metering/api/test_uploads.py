"""Files over HTTP: taken, answered, shown and reported, with keys of either kind."""

import csv
import io
import tracemalloc

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from metering.api.uploads import FORM_BYTES
from metering.models import Upload, UploadPiece
from metering.services import upload_reading
from metering.services.uploads import MOST_BYTES
from tests.clients import operator_client
from tests.factories import ApiKeyFactory, TenantFactory, UploadFactory
from tests.metering.conftest import NOW

LOADGEN = """event_id,event_timestamp,tenant_id,customer_id,subscription_id,product_type,\
metric_id,quantity
e-1,2026-03-10T10:00:00Z,t,cust_1,s,API,tokens,5
e-2,2026-03-10T10:00:01Z,t,cust_1,s,API,tokens,-6
e-3,2026-03-10T10:00:02Z,t,nobody,s,API,tokens,7
"""
BROKEN = "--b\r\nContent-Disposition: form-data; name='file'; filename='a.csv'\r\n\r\na,b\r\n"


def post(seller, content=LOADGEN, path="/v1/ingest/upload", *, token=None, **fields):
    encoded = content if isinstance(content, bytes) else content.encode()
    file = SimpleUploadedFile("usage.csv", encoded, content_type="text/csv")
    return seller.client.post(
        path, {"file": file, **fields}, headers={"Authorization": f"Bearer {token or seller.token}"}
    )


def get(seller, path, token=None):
    return seller.client.get(path, headers={"Authorization": f"Bearer {token or seller.token}"})


def read_all(seller):
    for upload in Upload.objects.for_tenant(seller.tenant):
        upload_reading.read_on(upload_id=upload.pk, clock=lambda: NOW)
    seller.drain()


def test_the_file_of_the_load_generator_is_202_even_when_a_row_is_bad(seller):
    answer = post(seller, defaultMetricName="tokens", defaultCustomerId="cust_1", rowCount="3")
    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["format"], told["fileName"]) == ("QUEUED", "CSV", "usage.csv")
    assert told["byteCount"] == len(LOADGEN)

    read_all(seller)
    told = get(seller, f"/v1/ingest/upload/{told['uploadId']}").json()
    assert (told["state"], told["accepted"], told["failed"], told["rowCount"]) == (
        "PARTIAL",
        2,
        1,
        3,
    )
    assert told["fate"] == {
        "counted": 1, "unbilled": 0, "duplicates": 0, "held": 0, "dead": 2, "waiting": 0,
    }  # fmt: skip


def test_operators_upload_list_read_and_download_the_report(seller):
    operator = operator_client(seller.tenant, role="DEVELOPER")
    answer = post(seller, path="/api/v1/uploads", token=operator.key.secret)
    assert answer.status_code == 202
    upload_id = answer.json()["data"]["id"]
    read_all(seller)

    (listed,) = operator.get("/api/v1/uploads").json()["content"]
    assert (listed["id"], listed["state"]) == (upload_id, "PARTIAL")
    assert operator.get(f"/api/v1/uploads/{upload_id}").json()["failed"] == 1
    report = operator.get(f"/api/v1/uploads/{upload_id}/report")
    assert report["Content-Type"] == "text/csv; charset=utf-8"
    lines = list(csv.reader(io.StringIO(b"".join(report.streaming_content).decode())))
    assert lines[0] == ["row", "code", "detail", "content"]
    assert [line[:2] for line in lines[1:]] == [
        ["2", "INVALID_QUANTITY"],
        ["3", "UNKNOWN_CUSTOMER"],
    ]


def test_a_dry_run_is_started_for_good_without_the_file_again(seller):
    operator = operator_client(seller.tenant)
    upload_id = post(seller, dryRun="true").json()["id"]
    read_all(seller)
    told = operator.get(f"/api/v1/uploads/{upload_id}").json()
    assert (told["dryRun"], told["accepted"], told["failed"]) == (True, 1, 2)

    assert operator.post(f"/api/v1/uploads/{upload_id}/start", {}).status_code == 202
    read_all(seller)
    told = operator.get(f"/api/v1/uploads/{upload_id}").json()
    assert (told["dryRun"], told["state"], told["fate"]["counted"]) == (False, "PARTIAL", 1)
    assert operator.post(f"/api/v1/uploads/{upload_id}/start", {}).status_code == 409


def test_columns_are_mapped_as_the_form_says(seller):
    content = "who,what\ncust_1,x\n"
    mapping = '{"customerId": "who", "quantity": ""}'
    answer = post(seller, content, mapping=mapping, defaultMetricName="tokens")
    assert answer.json()["mapping"] == {"customerId": "who", "quantity": ""}
    read_all(seller)
    assert get(seller, f"/v1/ingest/upload/{answer.json()['id']}").json()["fate"]["counted"] == 1


def test_an_upload_may_be_cancelled(seller):
    operator = operator_client(seller.tenant)
    upload_id = post(seller).json()["id"]
    answer = operator.post(f"/api/v1/uploads/{upload_id}/cancel")
    assert answer.json()["state"] == "FAILED"
    assert "cancelled by" in answer.json()["error"]
    assert not UploadPiece.objects.exists()
    assert operator.post(f"/api/v1/uploads/{upload_id}/cancel").status_code == 409


@pytest.mark.parametrize(
    ("content", "fields", "status", "code"),
    [
        (b"\xff\xfe\x00", {}, 400, "UNREADABLE_FILE"),
        ("customer,metric\n", {}, 400, "UNREADABLE_FILE"),
        ("a,b\n1,2\n", {}, 422, "UNUSABLE_MAPPING"),
        (LOADGEN, {"mapping": '{"nothing": "quantity"}'}, 422, "UNUSABLE_MAPPING"),
        (LOADGEN, {"mapping": '["quantity"]'}, 422, "UNPROCESSABLE_ENTITY"),
        (LOADGEN, {"mapping": "{"}, 422, "UNPROCESSABLE_ENTITY"),
        (LOADGEN, {"backfill": "true"}, 403, "FORBIDDEN"),
        (b"", {}, 400, "UNREADABLE_FILE"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_code(seller, content, fields, status, code):
    answer = post(seller, content, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Upload.objects.for_tenant(seller.tenant).exists()


def test_a_form_without_a_file_is_refused(seller):
    headers = {"Authorization": f"Bearer {seller.token}"}
    assert seller.client.post("/v1/ingest/upload", {"a": "b"}, headers=headers).status_code == 422
    answer = seller.post(b"{}", path="/v1/ingest/upload")
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_that_breaks_off_is_no_shorter_file(seller):
    answer = seller.client.generic(
        "POST",
        "/v1/ingest/upload",
        BROKEN,
        content_type="multipart/form-data; boundary=b",
        headers={"Authorization": f"Bearer {seller.token}"},
        **{"CONTENT_LENGTH": len(BROKEN) + 100, "wsgi.input": io.BytesIO(BROKEN.encode())},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "BROKEN_BODY")


def test_too_large_a_body_is_refused_before_it_is_read(seller):
    answer = seller.client.generic(
        "POST",
        "/v1/ingest/upload",
        BROKEN,
        content_type="multipart/form-data; boundary=b",
        headers={"Authorization": f"Bearer {seller.token}"},
        CONTENT_LENGTH=MOST_BYTES + FORM_BYTES + 1,
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


def test_roles_decide_who_uploads(seller):
    for role, status in (("MEMBER", 403), ("PRODUCT_MANAGER", 403), ("DEVELOPER", 202)):
        secret = operator_client(seller.tenant, role=role).key.secret
        for path in ("/v1/ingest/upload", "/api/v1/uploads"):
            assert post(seller, path=path, token=secret).status_code == status


def test_only_operator_keys_open_the_admin_api(seller):
    assert post(seller, path="/api/v1/uploads").status_code == 401
    assert post(seller, token="sk_live_unknown").status_code == 401


def test_uploads_of_another_tenant_are_as_absent_as_none(seller):
    theirs = UploadFactory(tenant=TenantFactory())
    ApiKeyFactory(tenant=theirs.tenant, secret="sk_live_" + "z" * 40)
    assert get(seller, f"/v1/ingest/upload/{theirs.pk}").status_code == 404
    assert get(seller, f"/v1/ingest/upload/{theirs.pk}", "sk_live_" + "z" * 40).status_code == 200


def test_a_file_of_fifty_megabytes_is_read_in_little_memory(seller):
    row = "cust_1,tokens,1,2026-03-10T00:00:00Z," + "x" * 900 + "\n"
    content = ("customer,metric,qty,time,note\n" + row * (30 * 1024)).encode()
    assert 25_000_000 < len(content) < MOST_BYTES
    upload_id = post(seller, content).json()["id"]
    del content

    tracemalloc.start()
    upload_reading.read_on(upload_id=upload_id, clock=lambda: NOW)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40_000_000
