"""Files are read to their end, each row once, however often reading is broken off."""

import gzip
import io
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.errors import Conflict, Refused, TooMany
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from metering.models import (
    DeadLetter,
    HeldEvent,
    InboxBatch,
    Receipt,
    RunningTotal,
    Upload,
    UploadBatch,
    UploadIssue,
    UploadPiece,
    UsageEvent,
)
from metering.selectors.accounts import account_of
from metering.selectors.uploads import Fate, fate_of, report_of
from metering.services import upload_reading, uploads
from metering.services.watermarks import stamp_billed
from metering.uploads import chunks
from metering.uploads.reading import Reading
from metering.uploads.rows import UnreadableFile
from tests.metering.conftest import NOW, subscribe
from tests.threads import in_threads

ACTOR = Actor.system("test")
HEADING = "customer_id,metric_id,quantity,event_timestamp,event_id,region\n"


def csv_of(count, *, start=0, customer="cust_1"):
    lines = (
        f"{customer},tokens,{number},2026-03-10T00:00:00Z,e-{number},eu\n"
        for number in range(start, start + count)
    )
    return HEADING + "".join(lines)


def received(seller, content, *, name="usage.csv", **options):
    encoded = content if isinstance(content, bytes) else content.encode()
    return uploads.receive(
        tenant=seller.tenant,
        file=io.BytesIO(encoded),
        file_name=name,
        reading=Reading(**options),
        actor=ACTOR,
        now=NOW,
        at=NOW,
    )


def read(upload):
    """Read as a worker does."""
    upload_reading.read_on(upload_id=upload.pk, clock=lambda: NOW)
    upload.refresh_from_db()
    return upload


def counted(seller, content, **options):
    upload = read(received(seller, content, **options))
    seller.drain()
    return upload


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", 3)


def test_rows_are_counted_as_events_of_the_file(seller):
    upload = counted(seller, csv_of(10))

    assert (upload.state, upload.rows_read, upload.row_count) == ("COMPLETED", 10, 10)
    assert (upload.accepted, upload.failed, upload.error) == (10, 0, "")
    assert RunningTotal.objects.get().quantity == sum(range(10))
    event = UsageEvent.objects.get(idempotency_key="e-7")
    assert (event.quantity, event.source, event.metadata) == (7, "FILE", '{"region":"eu"}')
    assert event.occurred_at == datetime(2026, 3, 10, tzinfo=UTC)
    assert fate_of(upload) == Fate(counted=10)
    assert {receipt.door for receipt in Receipt.objects.all()} == {"/v1/ingest/upload"}
    assert not UploadPiece.objects.exists()
    assert account_of(seller.tenant.pk).balances


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "NDJSON",
            (
                '{"customerId": "cust_1", "metricName": "tokens", "quantity": 5}\n'
                '{"customerId": "cust_1", "metricName": "tokens", "quantity": "6"}\n'
            ),
        ),
        (
            "JSON",
            (
                '[{"customerId": "cust_1", "metricName": "tokens", "quantity": 5},'
                ' {"customerId": "cust_1", "metricName": "tokens", "quantity": 6}]'
            ),
        ),
        (
            "XML",
            (
                "<usage><e><customer>cust_1</customer><metric>tokens</metric><qty>5</qty></e>"
                '<e customer="cust_1" metric="tokens" qty="6"/></usage>'
            ),
        ),
        ("CSV", gzip.compress(b"customer,metric,qty\ncust_1,tokens,5\ncust_1,tokens,6\n", mtime=0)),
    ],
)
def test_every_format_counts_alike(seller, name, content):
    upload = counted(seller, content)
    assert (upload.format, upload.state) == (name, "COMPLETED")
    assert RunningTotal.objects.get().quantity == 11


def test_the_same_file_again_counts_nothing(seller):
    content = "customer,metric,qty\ncust_1,tokens,5\ncust_1,tokens,5\n"
    first, second = counted(seller, content), counted(seller, content)

    assert RunningTotal.objects.get().quantity == 10  # two like rows are two
    assert (fate_of(first).counted, fate_of(second).duplicates) == (2, 2)
    assert second.state == "COMPLETED"


def test_one_file_may_be_read_for_several_metrics_but_not_twice_for_one(seller):
    content = "customer,qty,n\ncust_1,5,1\n"
    counted(seller, content, default_metric="tokens")
    counted(seller, content, default_metric="calls", mapping={"quantity": "n"})
    again = counted(seller, content, default_metric="tokens", mapping={"quantity": "n"})

    assert sorted(RunningTotal.objects.values_list("quantity", flat=True)) == [1, 5]
    assert fate_of(again).dead == 1
    assert [row.code for row in report_of(again)] == ["IDEMPOTENCY_CONFLICT"]


def test_bad_rows_are_named_and_kept_and_the_others_count(seller):
    content = (
        HEADING
        + "cust_1,tokens,1,2026-03-10T00:00:00Z,a,\n"
        + "cust_1,tokens,minus one,2026-03-10T00:00:00Z,b,\n"
        + "cust_1,tokens,1,2025-03-10T00:00:00Z,c,\n"
        + "cust_1,unheard,1,2026-03-10T00:00:00Z,d,\n"
        + "nobody,tokens,1,2026-03-10T00:00:00Z,e,\n"
        + "cust_1,tokens,1,2026-03-10T00:00:00Z,f,eu,more\n"
        + "cust_1,tokens,1,2026-03-10T00:00:00Z,g,\n"
    )
    upload = counted(seller, content)

    assert (upload.state, upload.accepted, upload.failed) == ("PARTIAL", 3, 4)
    assert fate_of(upload) == Fate(counted=2, dead=5)
    assert [(row.row, row.code) for row in report_of(upload)] == [
        (2, "INVALID_EVENT"),
        (3, "TIMESTAMP_TOO_OLD"),
        (4, "UNKNOWN_METRIC"),
        (5, "UNKNOWN_CUSTOMER"),
        (6, "INVALID_EVENT"),
    ]
    assert '"quantity":"minus one"' in next(report_of(upload)).content
    assert DeadLetter.objects.for_tenant(seller.tenant).count() == 5
    assert account_of(seller.tenant.pk).balances


def test_credentials_of_a_file_are_kept_nowhere(seller):
    content = "customer,metric,qty,api_key\ncust_1,tokens,bad,hush\ncust_1,tokens,1,hush\n"
    upload = counted(seller, content)

    assert UsageEvent.objects.get().metadata == '{"api_key":"[removed]"}'
    assert "hush" not in UploadIssue.objects.get(upload=upload).content
    assert b"hush" not in bytes(DeadLetter.objects.for_tenant(seller.tenant).get().event)


def test_a_file_of_bad_rows_alone_has_failed(seller):
    upload = counted(seller, "customer,metric,qty\ncust_1,tokens,-1\n")
    assert (upload.state, upload.accepted, upload.failed) == ("FAILED", 0, 1)


def test_a_file_that_breaks_off_counts_nothing(seller):
    rows = '{"customerId": "cust_1", "metricName": "tokens", "quantity": 1},' * 50
    upload = counted(seller, f"[{rows}")

    assert (upload.state, upload.rows_read, upload.accepted) == ("FAILED", 0, 0)
    assert "element 51 cannot be read" in upload.error
    assert not Receipt.objects.exists()


def test_what_cannot_be_read_or_used_at_all_is_not_kept(seller):
    with pytest.raises(UnreadableFile):
        received(seller, b"\xff\xfe\x00")
    with pytest.raises(UnreadableFile, match="no rows"):
        received(seller, HEADING)
    with pytest.raises(Refused, match="no column of the file gives metricName"):
        received(seller, "customer,qty\ncust_1,1\n")
    assert not Upload.objects.for_tenant(seller.tenant).exists()


def test_a_dry_run_says_what_would_be_refused_and_counts_nothing(seller):
    content = "customer,metric,qty\ncust_1,tokens,1\nnobody,tokens,1\ncust_1,tokens,-1\n"
    upload = counted(seller, content, dry_run=True)

    assert (upload.state, upload.accepted, upload.failed) == ("PARTIAL", 1, 2)
    assert [(row.row, row.code) for row in report_of(upload)] == [
        (2, "UNKNOWN_CUSTOMER"),
        (3, "INVALID_QUANTITY"),
    ]
    assert not Receipt.objects.exists()
    assert not DeadLetter.objects.for_tenant(seller.tenant).exists()
    assert fate_of(upload) == Fate()


def test_after_a_dry_run_the_kept_file_is_counted(seller):
    upload = counted(seller, "customer,metric,qty\ncust_1,tokens,1\n", dry_run=True)
    start = partial(uploads.start, upload=upload, actor=ACTOR, now=NOW, at=NOW)
    start(reading=Reading())
    assert read(upload).state == "COMPLETED"
    assert (upload.dry_run, upload.rows_read, upload.accepted) == (False, 1, 1)

    with pytest.raises(Conflict, match="completed already"):
        start(reading=Reading())
    actions = AuditEntry.objects.for_tenant(seller.tenant).filter(target_id=str(upload.pk))
    assert [entry.action for entry in actions] == ["UPLOAD_STARTED"] * 2


def test_reading_goes_on_where_it_stopped_and_puts_no_row_in_twice(seller):
    upload = received(seller, csv_of(10))
    steps = iter([True, False, True, True, False, True, True])
    for _ in range(3):
        upload_reading.read(
            Upload.objects.select_related("tenant").get(pk=upload.pk),
            open_file=partial(uploads.stored, upload),
            clock=lambda: NOW,
            may_go_on=lambda: next(steps),
        )
    upload.refresh_from_db()

    assert (upload.state, upload.rows_read) == ("COMPLETED", 10)
    firsts = UploadBatch.objects.filter(upload=upload).values_list("first_row", flat=True)
    assert list(firsts) == [0, 3, 6, 9]
    seller.drain()
    assert RunningTotal.objects.get().quantity == sum(range(10))


def test_a_failure_in_the_middle_of_a_chunk_leaves_nothing_of_it(seller, monkeypatch):
    upload = received(seller, csv_of(6))
    put, calls = upload_reading.inbox.put, []

    def fail_once(**batch):
        put(**batch)
        calls.append(batch)
        if len(calls) == 2:
            raise RuntimeError("killed")

    monkeypatch.setattr(upload_reading.inbox, "put", fail_once)
    with pytest.raises(RuntimeError):
        read(upload)
    upload.refresh_from_db()
    assert (upload.state, upload.rows_read, upload.accepted) == ("PROCESSING", 3, 3)
    assert InboxBatch.objects.count() == UploadBatch.objects.count() == 1

    assert read(upload).state == "COMPLETED"
    seller.drain()
    assert RunningTotal.objects.get().quantity == sum(range(6))


@pytest.mark.django_db(transaction=True)
def test_eight_readers_of_one_file_put_each_row_in_once(seller):
    upload = received(seller, csv_of(60))
    in_threads(8, lambda _: upload_reading.read_on(upload_id=upload.pk, clock=lambda: NOW))
    upload.refresh_from_db()

    assert (upload.state, upload.rows_read, upload.accepted) == ("COMPLETED", 60, 60)
    assert sum(InboxBatch.objects.values_list("event_count", flat=True)) == 60


def test_a_chunk_is_a_constant_number_of_statements(seller, monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", 1_000)

    def statements(rows):
        upload = received(seller, csv_of(rows))
        with CaptureQueriesContext(connection) as queries:
            read(upload)
        return len(queries)

    few = statements(10)
    assert statements(1_000) == few
    assert statements(2_000) - few <= 8  # one chunk more


def test_a_full_inbox_makes_files_wait(seller, monkeypatch):
    asked = []
    monkeypatch.setattr(upload_reading, "MOST_WAITING", 4)
    monkeypatch.setattr(upload_reading, "enqueue", lambda *_, **about: asked.append(about))
    upload = received(seller, csv_of(10))

    assert read(upload).rows_read == 6
    assert [about["countdown"] for about in asked] == [upload_reading.PAUSE]
    assert read(upload).rows_read == 6
    assert len(asked) == 1  # one that waits is enough

    seller.drain()
    read(upload)
    seller.drain()
    assert (read(upload).state, upload.rows_read) == ("COMPLETED", 10)


def test_whoever_waits_for_room_gives_signs_of_life(seller, monkeypatch):
    asked = []
    monkeypatch.setattr(upload_reading, "MOST_WAITING", 4)
    monkeypatch.setattr(upload_reading, "enqueue", lambda *_, **about: asked.append(about))
    upload = received(seller, csv_of(10))
    for seconds in (0, 2, 4):
        at = NOW + timedelta(seconds=seconds)
        upload_reading.read_on(upload_id=upload.pk, clock=lambda at=at: at)
        upload.refresh_from_db()
        assert upload.touched_at == at
    assert len(asked) == 3


def test_a_tenant_with_too_many_bytes_to_read_sends_no_more(seller, monkeypatch):
    uploads.require_room(tenant=seller.tenant)
    received(seller, csv_of(10))
    monkeypatch.setattr(uploads, "MOST_WAITING_BYTES", 100)
    with pytest.raises(TooMany):
        uploads.require_room(tenant=seller.tenant)


def test_a_cancelled_file_is_read_no_further_and_what_was_read_stays(seller):
    upload = received(seller, csv_of(10))
    cancel = partial(uploads.cancel, upload=upload, actor=ACTOR, now=NOW, at=NOW)

    def stop_after_a_chunk(step, _rows):
        if step == "reading":
            cancel()

    upload_reading.read(
        Upload.objects.select_related("tenant").get(pk=upload.pk),
        open_file=partial(uploads.stored, upload),
        clock=lambda: NOW,
        may_go_on=lambda: True,
        told=stop_after_a_chunk,
    )
    upload.refresh_from_db()
    assert (upload.state, upload.rows_read) == ("PARTIAL", 3)
    assert upload.error == "cancelled by test"
    with pytest.raises(Conflict):
        cancel()


def test_only_a_backfill_takes_what_is_over_ninety_days_old(seller):
    seller.tenant.refresh_from_db()
    customer = subscribe(seller.tenant, "old", start_at=datetime(2025, 1, 1, tzinfo=UTC), months=15)
    content = "customer,metric,qty,time\nold,tokens,5,2025-02-03T00:00:00Z\n"
    assert counted(seller, content).failed == 1

    upload = counted(seller, content, backfill=True)
    assert (upload.state, fate_of(upload)) == ("COMPLETED", Fate(counted=1))
    event = UsageEvent.objects.get()
    assert (event.subscription_id, event.late) == (customer.pk, True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('usage_events_202502') IS NOT NULL")
        assert cursor.fetchone() == (True,)


def test_a_backfill_into_a_billed_period_is_held(seller):
    subscribe(seller.tenant, "old", start_at=datetime(2025, 1, 1, tzinfo=UTC), months=15)
    content = "customer,metric,qty,time,event_id\nold,tokens,5,2025-02-03T00:00:00Z,{}\n"
    counted(seller, content.format("a"), backfill=True)
    stamp_billed([RunningTotal.objects.get().pk])

    upload = counted(seller, content.format("b"), backfill=True)
    assert fate_of(upload) == Fate(held=1)
    assert HeldEvent.objects.for_tenant(seller.tenant).get().idempotency_key == "b"


def test_a_backfill_ends_ten_years_ago_and_in_five_minutes(seller):
    content = (
        "customer,metric,qty,time\ncust_1,tokens,5,2016-03-01T00:00:00Z\n"
        "cust_1,tokens,5,2026-03-15T12:06:00Z\n"
    )
    upload = counted(seller, content, backfill=True)
    codes = [row.code for row in report_of(upload)]
    assert codes == ["TIMESTAMP_TOO_OLD", "TIMESTAMP_IN_FUTURE"]


def test_the_sweep_resumes_what_gave_no_sign_of_life_and_forgets_old_files(seller, monkeypatch):
    asked = []
    monkeypatch.setattr(uploads, "enqueue", lambda _, upload_id: asked.append(upload_id))
    stuck, fresh = received(seller, csv_of(1)), received(seller, csv_of(2))
    rehearsed = read(received(seller, csv_of(3), dry_run=True))
    Upload.objects.filter(pk=fresh.pk).update(touched_at=NOW + timedelta(minutes=5))
    asked.clear()

    uploads.sweep(now=NOW + timedelta(minutes=5))
    assert asked == [str(stuck.pk)]
    assert rehearsed.pieces.count() == 1
    uploads.sweep(now=NOW + timedelta(days=2))
    assert rehearsed.pieces.count() == 0
    assert stuck.pieces.count() == 1

    with pytest.raises(Conflict, match="no longer kept"):
        uploads.start(upload=rehearsed, reading=Reading(), actor=ACTOR, now=NOW, at=NOW)


def test_a_row_is_judged_by_when_its_file_came_not_by_when_it_is_read(seller):
    edge = (NOW - timedelta(days=90)).isoformat()
    upload = received(seller, f"customer,metric,qty,time\ncust_1,tokens,5,{edge}\n")
    upload_reading.read_on(upload_id=upload.pk, clock=lambda: NOW + timedelta(days=3))
    upload.refresh_from_db()
    assert upload.state == "COMPLETED"
