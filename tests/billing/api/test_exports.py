"""Invoices in bulk: what the list shows, whole, as tables and as papers."""

import csv
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO, StringIO

import duckdb
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.exports import bulk, parquet
from billing.models import Invoice
from billing.services.invoices import bill_periods
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.clients import operator_client
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)
PER_TOKEN = {"model": "PER_UNIT", "rate": "0.000015"}
EXPORT, LINES = "/api/v1/invoices/export", "/api/v1/invoice-lines/export"


def billed(tenant=None, *, count=1, auto_finalize=True, **fields):
    tenant = tenant or TenantFactory()
    periods = []
    for _ in range(count):
        period, (unit,) = priced_subscription(PER_TOKEN, tenant=tenant, aggregation="SUM", **fields)
        meter(period, unit, [46_666, 1])
        periods.append(period)
    run = bill_run(tenant, auto_finalize=auto_finalize, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id for period in periods], now=NOW)
    return tenant


def fetched(tenant, path, **options):
    answer = operator_client(tenant, role="BILLING_ADMIN").get(path, **options)
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def rows_of(content):
    return list(csv.DictReader(StringIO(content.decode())))


def test_invoices_are_a_table_with_the_filters_of_the_list():
    tenant = billed(count=2, base_fee="49")
    billed()
    rows = rows_of(fetched(tenant, EXPORT))
    assert [row["number"] for row in rows] == ["INV-2026-0001", "INV-2026-0002"]
    assert {row["total"] for row in rows} == {"49.70"}
    assert rows_of(fetched(tenant, f"{EXPORT}?status=DRAFT")) == []
    (one,) = rows_of(fetched(tenant, f"{EXPORT}?number=INV-2026-0002&format=csv"))
    assert one["id"] == str(Invoice.objects.get(tenant=tenant, number="INV-2026-0002").pk)
    assert one["digest"] == bytes(Invoice.objects.get(pk=one["id"]).digest).hex()


def test_lines_are_a_table_and_a_credit_is_a_number():
    tenant = billed(base_fee="49", discount_amount="1.5")
    rows = rows_of(fetched(tenant, LINES))
    assert [(row["type"], row["amount"]) for row in rows] == [
        ("CHARGE", "49.00"), ("USAGE_FEE", "0.70"), ("DISCOUNT", "-1.50"),
    ]  # fmt: skip
    assert (rows[1]["quantity"], rows[1]["exactAmount"], rows[1]["model"]) == (
        "46667", "0.700005", "PER_UNIT",
    )  # fmt: skip


@pytest.mark.parametrize("path", [EXPORT, LINES])
def test_parquet_holds_what_the_table_holds(path, tmp_path):
    tenant = billed(count=2, base_fee="49")
    file = tmp_path / "export.parquet"
    file.write_bytes(fetched(tenant, f"{path}?format=parquet"))
    rows = rows_of(fetched(tenant, path))
    with duckdb.connect() as reader:
        found = reader.execute(f"SELECT * FROM read_parquet('{file}')")
        names = [column[0] for column in found.description]
        held = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    assert names == list(rows[0])
    assert len(held) == len(rows)
    amount = "total" if "total" in names else "amount"
    assert [row[amount] for row in held] == [Decimal(row[amount]) for row in rows]
    assert [str(row["id"]) for row in held] == [row["id"] for row in rows]
    assert held[0]["currency"] == "USD"


def test_parquet_needs_its_extra(monkeypatch):
    monkeypatch.setattr(parquet, "find_spec", lambda _: None)
    client = operator_client(billed(), role="OWNER")
    answer = client.get(f"{EXPORT}?format=parquet")
    assert (answer.status_code, answer.json()["code"]) == (422, "NO_PARQUET")


def test_papers_come_in_a_zip_each_under_its_number():
    tenant = billed(count=2)
    billed(tenant, auto_finalize=False)
    archive = zipfile.ZipFile(BytesIO(fetched(tenant, f"{EXPORT}?format=zip")))
    draft = Invoice.objects.get(tenant=tenant, status="DRAFT")
    names = ["INV-2026-0001.pdf", "INV-2026-0002.pdf", f"draft-{draft.pk}.pdf"]
    assert sorted(archive.namelist()) == sorted(names)
    assert all(archive.read(name).startswith(b"%PDF") for name in names)
    accepted = fetched(tenant, EXPORT, HTTP_ACCEPT="application/zip")
    assert len(zipfile.ZipFile(BytesIO(accepted)).namelist()) == 3


def test_more_papers_than_a_thread_can_draw_are_refused(monkeypatch):
    monkeypatch.setattr("billing.api.exports.MOST_PDFS", 1)
    client = operator_client(billed(count=2), role="OWNER")
    answer = client.get(f"{EXPORT}?format=zip")
    assert (answer.status_code, answer.json()["code"]) == (422, "TOO_MANY_INVOICES")
    assert client.get(f"{EXPORT}?format=zip&number=INV-2026-0001").status_code == 200


def test_rows_are_read_a_page_at_a_time(monkeypatch):
    monkeypatch.setattr(bulk, "ROWS_AT_A_TIME", 2)
    tenant = billed(count=3)
    with CaptureQueriesContext(connection) as queries:
        text = "".join(bulk.table(Invoice.objects.for_tenant(tenant).select_related("customer"),
                                  bulk.INVOICES))  # fmt: skip
    assert text.count("\n") == 4
    assert len(queries) == 2


@pytest.mark.parametrize("path", [EXPORT, LINES])
def test_exports_are_for_those_who_answer_for_money_and_of_their_own_tenant(path):
    tenant = billed()
    for role in ("MEMBER", "DEVELOPER", "PRODUCT_MANAGER"):
        assert operator_client(tenant, role=role).get(path).status_code == 403
    assert rows_of(fetched(TenantFactory(), path)) == []
    assert operator_client(tenant, role="OWNER").get(f"{path}?format=xml").status_code == 400
