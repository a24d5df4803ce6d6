"""What leaves by policy: months to Parquet and back in every sum, bodies and receipts for good."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import duckdb
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from aforo.errors import Conflict
from billing.invariants import broken_truths
from metering.archive import parquet, retirement
from metering.models import (
    ArchivedCount,
    ArchivedMonth,
    EventKey,
    HeldEvent,
    RawPayload,
    Receipt,
    ReceiptDay,
    RunningTotal,
    UsageEvent,
)
from metering.selectors.accounts import account_of
from metering.services import partitions, retention
from tests.factories import BillableUnitFactory
from tests.metering.conftest import NOW, catalog_changed
from tests.metering.events import event
from tests.metering.services.test_partitions import bounds

LATER = datetime(2027, 5, 10, tzinfo=UTC)
MARCH = "usage_events_202603"
ODD = 'a "quoted"\nkey, with \\N and ünïcode\t'


@pytest.fixture
def policy(settings, tmp_path):
    settings.KEEP_EVENTS_MONTHS = 6
    settings.KEEP_RAW_MONTHS = 0
    settings.KEEP_RECEIPTS_DAYS = 0
    settings.ARCHIVE_DIR = str(tmp_path / "archive")
    return settings


@pytest.fixture
def march(seller, policy):
    """A billed March in a partition of its own, and a clock that has moved on."""
    BillableUnitFactory(tenant=seller.tenant, name="unpriced")
    catalog_changed(seller.tenant)
    partitions.make_between(NOW, NOW)
    seller.count(
        event(1, metadata={"note": 'line\nbreak "and" \\N'}, idempotencyKey=ODD),
        event(2, metricName="tokens", quantity="1000000000000.000000000001"),
        event(3, metricName="unpriced"),
        event(3, metricName="unpriced"),
        event(4, quantity=-1),
    )
    bill_totals()
    move_clock(seller.tenant, LATER)
    return seller


def bill_totals():
    for total in RunningTotal.objects.all():
        total.billed_position, total.billed_quantity = total.position, total.quantity
        total.billed_event_count, total.billed_revenue = total.event_count, total.revenue
        total.save()


def move_clock(tenant, to):
    tenant.clock_frozen_at = to
    tenant.save()


def archive_of(policy):
    with duckdb.connect() as reader:
        path = f"{policy.ARCHIVE_DIR}/{MARCH}.parquet"
        asked = reader.execute("SELECT * FROM read_parquet($path)", {"path": path})
        names = [column[0] for column in asked.description]
        return [dict(zip(names, row, strict=True)) for row in asked.fetchall()]


def kept_by(now=LATER):
    return {month.partition: month.kept_by for month in retention.months_to_retire(now=now)}


def test_a_billed_month_leaves_as_a_file_that_holds_all_of_it(march, policy):
    stored = {row.id: row for row in UsageEvent.objects.all()}
    retired = retention.retire_by_policy(now=LATER)
    assert MARCH in retired.months
    assert not UsageEvent.objects.exists()
    assert MARCH not in bounds()
    rows = archive_of(policy)
    assert {row["id"] for row in rows} == set(stored)
    for row in rows:
        was = stored[row["id"]]
        for name in ("idempotency_key", "metric", "metadata", "position", "late", "batch_index"):
            assert row[name] == getattr(was, name)
        for name in ("quantity", "revenue", "cost"):
            assert Decimal(row[name]) == getattr(was, name)
        assert row["occurred_at"].replace(tzinfo=UTC) == was.occurred_at
        assert str(row["batch_id"]) == str(was.batch_id)
        digest = bytes(was.digest) if was.digest else None
        assert (bytes.fromhex(row["digest"][2:]) if row["digest"] else None) == digest


def test_the_archive_is_noted_with_its_hash_and_counts(march, policy):
    retention.retire_by_policy(now=LATER)
    archived = ArchivedMonth.objects.get(month="2026-03-01")
    assert archived.sha256 == parquet.sha256_of(parquet.Path(archived.file))
    assert archived.row_count == 3
    counts = ArchivedCount.objects.get(month=archived)
    assert (counts.tenant_id, counts.counted, counts.unbilled) == (march.tenant.id, 2, 1)


def test_the_account_balances_before_and_after(march, policy):
    before = account_of(march.tenant.id)
    assert before.balances
    retention.retire_by_policy(now=LATER)
    assert account_of(march.tenant.id) == before
    assert broken_truths(tenant_id=march.tenant.id, full=True) == {}


def test_an_event_of_an_archived_month_still_is_a_duplicate(march, policy):
    keys = EventKey.objects.count()
    retention.retire_by_policy(now=LATER)
    assert EventKey.objects.count() == keys
    move_clock(march.tenant, NOW)
    march.count(event(2, metricName="tokens", quantity="1000000000000.000000000001"))
    assert Receipt.objects.latest("batch_id").duplicates == 1
    assert not UsageEvent.objects.exists()


def test_nothing_leaves_twice(march, policy):
    assert MARCH in retention.retire_by_policy(now=LATER).months
    assert retention.retire_by_policy(now=LATER).months == []
    assert ArchivedMonth.objects.filter(month="2026-03-01").count() == 1


def test_without_a_policy_everything_stays(march, policy):
    policy.KEEP_EVENTS_MONTHS = 0
    assert retention.months_to_retire(now=LATER) == []
    assert retention.retire_by_policy(now=LATER).months == []
    assert UsageEvent.objects.count() == 3


def test_a_month_that_is_not_old_enough_stays(march, policy):
    assert MARCH in kept_by()
    policy.KEEP_EVENTS_MONTHS = 14
    assert MARCH not in kept_by()


def test_a_month_with_unbilled_usage_stays(march, policy):
    RunningTotal.objects.filter(position=1).update(
        billed_position=None, billed_quantity=None, billed_event_count=None, billed_revenue=None
    )
    (reason,) = kept_by()[MARCH]
    assert reason == "2 running totals that reach into it are not billed to their end"
    assert MARCH not in retention.retire_by_policy(now=LATER).months
    assert UsageEvent.objects.count() == 3


def test_a_month_with_a_held_event_stays(march, policy):
    move_clock(march.tenant, NOW)
    march.count(event(9))
    move_clock(march.tenant, LATER)
    (reason,) = kept_by()[MARCH]
    assert reason == "1 held events of it wait for a decision"
    HeldEvent.objects.update(status="WAIVED")
    assert kept_by()[MARCH] == ()
    before = account_of(march.tenant.id)
    retention.retire_by_policy(now=LATER)
    assert account_of(march.tenant.id) == before


def test_a_month_that_a_sandbox_still_lives_in_stays(march, policy):
    move_clock(march.tenant, datetime(2026, 7, 2, tzinfo=UTC))
    (reason,) = kept_by()[MARCH]
    assert reason == "a tenant's clock stands at 2026-07-02, and may count events of it"


def test_killed_before_the_month_is_dropped_nothing_has_happened(march, policy, monkeypatch):
    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(retirement, "drop", killed)
    with pytest.raises(SystemExit):
        retention.retire_by_policy(now=LATER)
    assert not ArchivedMonth.objects.exists()
    assert not ArchivedCount.objects.exists()
    assert UsageEvent.objects.count() == 3
    monkeypatch.undo()
    assert MARCH in retention.retire_by_policy(now=LATER).months
    assert len(archive_of(policy)) == 3


def test_killed_while_it_writes_nothing_half_is_left(march, policy, monkeypatch, tmp_path):
    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(parquet, "_copy_out", killed)
    with pytest.raises(SystemExit):
        retention.retire_by_policy(now=LATER)
    assert not list((tmp_path / "archive").iterdir())


def test_a_file_that_lacks_a_row_is_not_believed(march, policy, monkeypatch):
    real = parquet.sums_in_file
    monkeypatch.setattr(
        parquet, "sums_in_file", lambda path: real(path)._replace(quantity=Decimal(7))
    )
    (month,) = [one for one in retention.months_to_retire(now=LATER) if one.partition == MARCH]
    with pytest.raises(Conflict, match="but its file"):
        retirement.retire(month, folder=parquet.Path(policy.ARCHIVE_DIR), now=LATER)
    assert MARCH not in retention.retire_by_policy(now=LATER).months
    assert UsageEvent.objects.count() == 3


def test_without_duckdb_it_says_what_to_install(march, policy, monkeypatch):
    monkeypatch.setattr(parquet, "duckdb", None)
    with pytest.raises(parquet.NoParquet, match=r"aforo\[parquet\]"):
        retention.retire_by_policy(now=LATER)
    assert UsageEvent.objects.count() == 3


def test_without_a_folder_it_says_which_setting_is_missing(march, policy):
    policy.ARCHIVE_DIR = ""
    with pytest.raises(retention.NoArchive, match="AFORO_ARCHIVE_DIR"):
        retention.retire_by_policy(now=LATER)
    with pytest.raises(CommandError, match="AFORO_ARCHIVE_DIR"):
        call_command("retire_months")


def test_a_dry_run_says_what_would_leave(march, policy, capsys):
    call_command("retire_months", dry_run=True)
    assert UsageEvent.objects.count() == 3
    assert "may leave" in capsys.readouterr().out or kept_by(NOW) == {}


def test_old_bodies_go_by_the_month_of_their_arrival(seller, policy):
    seller.count(event(1))
    arrived = RawPayload.objects.get().arrived_at
    policy.KEEP_EVENTS_MONTHS, policy.KEEP_RAW_MONTHS = 0, 2
    assert retention.retire_by_policy(now=arrived + timedelta(days=40)).bodies == []
    assert RawPayload.objects.exists()
    dropped = retention.retire_by_policy(now=arrived + timedelta(days=130)).bodies
    assert f"raw_payloads_{arrived:%Y%m}" in dropped
    assert not RawPayload.objects.exists()
    partitions.make_for_all_clocks(now=arrived)


def test_old_receipts_are_summed_by_day_before_they_go(seller, policy):
    policy.KEEP_EVENTS_MONTHS, policy.KEEP_RECEIPTS_DAYS = 0, 30
    seller.count(event(1), event(1), event(2, quantity=-1))
    seller.count(event(3))
    before = account_of(seller.tenant.id)
    assert retention.retire_by_policy(now=NOW + timedelta(days=30)).receipt_days == 0
    assert retention.retire_by_policy(now=NOW + timedelta(days=31)).receipt_days == 1
    assert not Receipt.objects.exists()
    day = ReceiptDay.objects.get()
    assert (str(day.day), day.source) == ("2026-03-15", "API")
    assert (day.event_count, day.counted, day.duplicates, day.dead) == (4, 2, 1, 1)
    assert account_of(seller.tenant.id) == before
    seller.count(event(4))
    retention.retire_by_policy(now=NOW + timedelta(days=31))
    assert ReceiptDay.objects.get().event_count == 5
    assert account_of(seller.tenant.id).balances


@pytest.fixture
def months_come_back(transactional_db):
    """Flushing empties tables; what was dropped has to be made again for other tests."""
    before = set(bounds())
    yield
    gone = [datetime.strptime(f"{name[-6:]}+0000", "%Y%m%z") for name in before - set(bounds())]
    for month in gone:
        partitions.make_between(month, month)
    with connection.cursor() as cursor:
        for name in set(bounds()) - before:
            cursor.execute(f"DROP TABLE {name}")


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_retire_a_month_once(months_come_back, march, policy):
    usual = connection.pool.max_size
    connection.pool.resize(1, 18)
    start = Barrier(8)

    def work(_):
        start.wait()
        try:
            return retention.retire_by_policy(now=LATER)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        outcomes = [one for one in pool.map(work, range(8)) if one is not None]
    connection.pool.resize(1, usual)
    assert [name for one in outcomes for name in one.months].count(MARCH) == 1
    assert ArchivedMonth.objects.filter(month="2026-03-01").count() == 1
    assert len(archive_of(policy)) == 3
    assert account_of(march.tenant.id).balances
