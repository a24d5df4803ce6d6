"""Files of any size from the command line: counted once, resumed, refused with a sentence."""

import io
import time

import pytest
from django.core.management import CommandError, call_command

from metering.models import InboxBatch, RunningTotal, Upload, UploadPiece
from metering.services import upload_reading
from metering.uploads import chunks
from tests.factories import TenantFactory

CSV = "account,metric,qty\n" + "".join(f"cust_1,tokens,{number}\n" for number in range(10))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", 3)


@pytest.fixture
def run(seller, tmp_path):
    path = tmp_path / "usage.csv"

    def run(*options, content=CSV):
        path.write_text(content)
        said = io.StringIO()
        where = ("--tenant", seller.tenant.slug)
        call_command("import_usage", str(path), *where, *options, stdout=said)
        return said.getvalue()

    return run


def test_a_file_is_read_where_it_lies_and_counted_once(run, seller):
    said = run("--map", "customerId=account")
    assert "completed, 10 rows: 10 taken, 0 refused" in said
    assert not UploadPiece.objects.exists()
    run("--map", "customerId=account")
    seller.drain()
    assert RunningTotal.objects.get().quantity == sum(range(10))


def test_run_again_after_a_break_it_goes_on(run, seller, monkeypatch):
    put, calls = upload_reading.inbox.put, []

    def break_off(**batch):
        calls.append(batch)
        if len(calls) == 3:
            raise KeyboardInterrupt
        put(**batch)

    monkeypatch.setattr(upload_reading.inbox, "put", break_off)
    with pytest.raises(CommandError, match="run the same command again"):
        run("--map", "customerId=account")
    assert (Upload.objects.get().state, Upload.objects.get().rows_read) == ("PROCESSING", 6)

    run("--map", "customerId=account")
    upload = Upload.objects.get()
    assert (upload.state, upload.rows_read, upload.accepted) == ("COMPLETED", 10, 10)
    assert [batch.event_count for batch in InboxBatch.objects.all()] == [3, 3, 3, 1]


def test_it_waits_for_the_drain(run, seller, monkeypatch):
    naps = []
    monkeypatch.setattr(upload_reading, "MOST_WAITING", 4)
    monkeypatch.setattr(time, "sleep", lambda _: naps.append(seller.drain()))
    run("--map", "customerId=account")
    assert naps == [6]


def test_a_dry_run_counts_nothing(run):
    assert "0 refused" in run("--map", "customerId=account", "--dry-run")
    assert not InboxBatch.objects.exists()


@pytest.mark.parametrize(
    ("options", "content", "told"),
    [
        ((), CSV, "no column of the file gives customerId"),
        (("--map", "customerId"), CSV, "write it as customerId=column"),
        (("--map", "customerId=absent"), CSV, "no column 'absent'"),
        (("--tenant", "nobody"), CSV, "no tenant 'nobody'"),
        (("--customer", "cust_1"), "metric,qty\ntokens,-1\n", "no row was taken"),
        (("--customer", "cust_1"), 'metric,qty\ntokens,1\n"tokens,', "line 3 cannot be read"),
        ((), "", "the file is empty"),
    ],
)
def test_what_goes_wrong_is_one_sentence(run, options, content, told):
    with pytest.raises(CommandError, match=told):
        run(*options, content=content)
    assert not InboxBatch.objects.filter(refused=None).exists()


def test_the_only_tenant_need_not_be_named(seller, tmp_path):
    path = tmp_path / "usage.csv"
    path.write_text("customer,metric,qty\na,b,1\n")
    TenantFactory()
    with pytest.raises(CommandError, match="--tenant"):
        call_command("import_usage", str(path))
